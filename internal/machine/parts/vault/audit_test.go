package vault

import (
	"errors"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/internal/machine/machinetest"
	"hashistack/internal/names"
)

// TestAuditCheck runs the check on machines whose disk and journal are well, and on others.
func TestAuditCheck(t *testing.T) {
	for name, test := range map[string]struct {
		free, options, journal string
		noSocket               bool
		code                   int
		want                   string
	}{
		"both write":          {"9000", "rw,relatime", "true", false, 0, "passing: file: the disk of /var/log/vault has 9000 MiB left\npassing: syslog"},
		"just enough":         {"1024", "rw", "true", false, 0, "passing: file"},
		"the disk fills":      {"1023", "rw", "true", false, 1, "warning: file: the disk of /var/log/vault has 1023 MiB left, less than 1024\npassing: syslog"},
		"the disk is full":    {"0", "rw", "true", false, 2, "critical: file: the disk of /var/log/vault has 0 MiB left, less than 256\npassing: syslog"},
		"remounted read-only": {"9000", "ro,relatime", "true", false, 2, "critical: file: the disk of /var/log/vault is read-only\npassing: syslog"},
		"errors=remount-ro":   {"9000", "rw,errors=remount-ro", "true", false, 0, "passing: file"},
		"no journal":          {"9000", "rw", "false", false, 2, "passing: file: the disk of /var/log/vault has 9000 MiB left\ncritical: syslog: the journal is down"},
		"no socket":           {"9000", "rw", "true", true, 2, "critical: syslog"},
	} {
		t.Run(name, func(t *testing.T) {
			disk := machinetest.NewDisk(t, "dev")
			if !test.noSocket {
				disk.Write(t, "dev/log", "")
			}
			disk.Command(t, "df", `printf ' Avail\n %s\n' `+test.free)
			disk.Command(t, "findmnt", "echo "+test.options)
			disk.Command(t, "systemctl", test.journal)
			cmd := exec.Command("/bin/sh", disk.Script(t, Part, names.Scripts+"vault-audit", "/dev/log", disk.Path("dev/log")))
			cmd.Env = disk.Env()
			output, err := cmd.CombinedOutput()
			code := 0
			if exit := new(exec.ExitError); errors.As(err, &exit) {
				code = exit.ExitCode()
			} else {
				require.NoError(t, err)
			}
			assert.Equal(t, test.code, code, string(output))
			assert.Contains(t, string(output), test.want)
		})
	}
}
