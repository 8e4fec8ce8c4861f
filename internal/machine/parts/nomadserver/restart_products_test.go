//go:build products

package nomadserver

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/internal/machine"
	"hashistack/internal/machine/machinetest"
)

// With the policy that Nomad's servers have, and the lock that Consul gives: three machines that get new tokens at once.
func TestNomadServersRestartOneAfterTheOther(t *testing.T) {
	consul := machinetest.StartConsul(t)
	tokens, err := machine.Parts{Part}.Tokens(machine.Cluster{}, machine.Machine{Name: "server-1"})
	require.NoError(t, err)
	require.Len(t, tokens, 1)

	log := filepath.Join(t.TempDir(), "log")
	var all sync.WaitGroup
	for _, name := range []string{"server-1", "server-2", "server-3"} {
		s := newNomadServer(t, "https://localhost:8501", "https://localhost:"+consul.Port)
		require.NoError(t, os.MkdirAll(s.Path("etc/hashistack"), 0o700))
		require.NoError(t, os.Symlink(consul.CA, s.Path("etc/hashistack/ca.pem")))
		s.issue(t, consul.Token(t, name, tokens[0].Policy))
		commands := nomadRestarts()
		delete(commands, "sleep")
		commands["consul"] = `exec ` + machinetest.Product(t, "consul") + ` "$@"`
		commands["systemctl"] = `echo ` + name + ` begins >>` + log + `; sleep 1; "$SCRIPT" started; echo ` + name + ` ends >>` + log
		all.Go(func() {
			output, err := s.run(t, commands, "in-turn")
			assert.NotContains(t, output, "no lock", "%v", err)
		})
	}
	all.Wait()
	content, err := os.ReadFile(log)
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	require.Len(t, lines, 6, "each restarts once:\n%s", content)
	for i := 0; i < len(lines); i += 2 {
		assert.Equal(t, strings.TrimSuffix(lines[i], " begins"), strings.TrimSuffix(lines[i+1], " ends"), "two at once:\n%s", content)
	}
}
