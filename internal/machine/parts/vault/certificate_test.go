package vault

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/internal/machine/machinetest"
	"hashistack/internal/names"
)

// vaultMachine has the certificates of a Vault server.
type vaultMachine struct {
	machinetest.Disk
	script string
}

const (
	issued    = "var/lib/consul-template/vault.pem"
	presented = "etc/vault.d/tls/vault.pem"
)

func newVaultMachine(t *testing.T) vaultMachine {
	t.Helper()
	disk := machinetest.NewDisk(t, filepath.Dir(issued), filepath.Dir(presented))
	v := vaultMachine{disk, disk.Script(t, Part, names.Scripts+"install-vault-certificate", names.Apply, disk.Path("bin/apply"))}
	v.Command(t, "apply", `echo "$@"`)
	v.Command(t, "install", `shift 3; cp "$1" "$2"`) // there is no user vault here
	return v
}

// put writes a bundle of which a percentage of its life is left to path, and returns it.
func (v vaultMachine) put(t *testing.T, path string, percent int) string {
	t.Helper()
	return v.Bundle(t, path, "vault", percent)
}

// presented is what the listener has.
func (v vaultMachine) presented(t *testing.T) string {
	t.Helper()
	return v.Read(t, presented)
}

// install runs the script and returns what it asked to be applied.
func (v vaultMachine) install(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("/bin/sh", append([]string{v.script}, args...)...)
	cmd.Env = v.Env()
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, string(output))
	return string(output)
}

// The life of a listener's certificates: bootstrap, issued, issued again, expired while Vault was sealed, issued again.
func TestVaultCertificates(t *testing.T) {
	const reload = "vault reload\n"
	v := newVaultMachine(t)
	bootstrap := v.put(t, presented, 100)
	assert.Empty(t, v.install(t), "nothing is issued yet")
	assert.Empty(t, v.install(t, "expired"))

	for range 2 {
		first := v.put(t, issued, 90)
		assert.Equal(t, reload, v.install(t))
		assert.Equal(t, first, v.presented(t))
		assert.Empty(t, v.install(t), "it is in place")
		assert.Empty(t, v.install(t, "expired"), "it has not")
	}

	old := v.put(t, issued, -1)
	v.Write(t, presented, old)
	assert.Equal(t, reload, v.install(t, "expired"))
	assert.Equal(t, bootstrap, v.presented(t))
	assert.Empty(t, v.install(t, "expired"))
	assert.Empty(t, v.install(t), "an expired certificate does not come back")

	again := v.put(t, issued, 90)
	assert.Equal(t, reload, v.install(t))
	assert.Equal(t, again, v.presented(t))
}
