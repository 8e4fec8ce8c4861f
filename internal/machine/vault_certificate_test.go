package machine

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// vaultMachine has the certificates of a Vault server, below a directory.
type vaultMachine struct{ holder }

const (
	issued    = "var/lib/consul-template/vault.pem"
	presented = "etc/vault.d/tls/vault.pem"
)

func newVaultMachine(t *testing.T) vaultMachine {
	t.Helper()
	v := vaultMachine{newHolder(t)}
	v.script = filepath.Join(v.root, "install-vault-certificate")
	content, err := static.ReadFile("files/vault/usr/local/lib/hashistack/install-vault-certificate")
	require.NoError(t, err)
	text := strings.NewReplacer("/etc/", v.root+"/etc/", "/var/lib/", v.root+"/var/lib/",
		"/usr/local/lib/hashistack/apply", v.bin+"/apply").Replace(string(content))
	require.NoError(t, os.WriteFile(v.script, []byte(text), 0o700))
	require.NoError(t, os.MkdirAll(filepath.Join(v.root, filepath.Dir(issued)), 0o700))
	for name, does := range map[string]string{
		"apply":   `echo "$@"`,
		"install": `shift 3; cp "$1" "$2"`, // there is no user vault here
	} {
		require.NoError(t, os.WriteFile(filepath.Join(v.bin, name), []byte("#!/bin/sh\n"+does+"\n"), 0o700))
	}
	return v
}

// put writes a bundle of which a percentage of its life is left to path, and returns it.
func (v vaultMachine) put(t *testing.T, path string, percent int) string {
	t.Helper()
	before, err := os.ReadFile(filepath.Join(v.root, presented))
	if !os.IsNotExist(err) {
		require.NoError(t, err)
	}
	v.certificate(t, "vault", percent)
	bundle := v.presented(t)
	if path != presented {
		require.NoError(t, os.WriteFile(filepath.Join(v.root, presented), before, 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(v.root, path), []byte(bundle), 0o600))
	}
	return bundle
}

// presented is what the listener has.
func (v vaultMachine) presented(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(v.root, presented))
	require.NoError(t, err)
	return string(content)
}

// install runs the script and returns what it asked to be applied.
func (v vaultMachine) install(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("/bin/sh", append([]string{v.script}, args...)...)
	cmd.Env = []string{"PATH=" + v.bin + ":/usr/bin:/bin"}
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
	require.NoError(t, os.WriteFile(filepath.Join(v.root, presented), []byte(old), 0o600))
	assert.Equal(t, reload, v.install(t, "expired"))
	assert.Equal(t, bootstrap, v.presented(t))
	assert.Empty(t, v.install(t, "expired"))
	assert.Empty(t, v.install(t), "an expired certificate does not come back")

	again := v.put(t, issued, 90)
	assert.Equal(t, reload, v.install(t))
	assert.Equal(t, again, v.presented(t))
}
