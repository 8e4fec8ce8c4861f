package vault

import (
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/internal/machine"
	"hashistack/internal/machine/machinetest"
	"hashistack/internal/names"
)

// TestDoor looks once at machines whose Vault answers in one way or another, and whose door is open or closed.
func TestDoor(t *testing.T) {
	const closes, opens, looks = "--file /etc/hashistack/vault-door.nft", "delete table inet hashistack_vault", "list table inet hashistack_vault"
	for name, test := range map[string]struct {
		vault  string // what curl does
		closed bool
		want   []string // what nft is told
	}{
		"unsealed":                {"printf 200", false, []string{looks}},
		"unsealed, closed before": {"printf 200", true, []string{looks, opens}},
		"sealed":                  {"printf 503", false, []string{closes}},
		"not initialised":         {"printf 501", false, []string{closes}},
		"it does not listen":      {"printf 000; exit 7", true, nil},
		"it has no leader":        {"printf 429", false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			disk := machinetest.NewDisk(t)
			told := disk.Path("told")
			disk.Command(t, "curl", test.vault)
			listed := "false"
			if test.closed {
				listed = "true"
			}
			disk.Command(t, "nft", `echo "$*" >>`+told+`; [ "$1" != list ] || `+listed)
			cmd := exec.Command("/bin/sh", disk.Script(t, Part, names.Scripts+"vault-door"))
			cmd.Env = disk.Env()
			output, err := cmd.CombinedOutput()
			require.NoError(t, err, string(output))
			var got []string
			if _, err := os.Stat(told); err == nil {
				got = strings.Split(strings.TrimSpace(strings.ReplaceAll(disk.Read(t, "told"), disk.Root, "")), "\n")
			}
			assert.Equal(t, test.want, got)
		})
	}
}

// Operators and the machine itself pass a closed door.
func TestClosedDoor(t *testing.T) {
	rules := closedDoor(machine.Cluster{Network: netip.MustParsePrefix("10.0.0.0/16")})
	assert.Contains(t, rules, `iifname != "lo" ip saddr 10.0.0.0/16 tcp dport 8200 reject with tcp reset`)
}
