//go:build products

package machine

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What a real Vault says of logins and leases is understood.
func TestCredentialsOfARealVault(t *testing.T) {
	address := "127.0.0.1:" + freePorts(t, 1)[0]
	server := exec.CommandContext(t.Context(), product(t, "vault"), "server", "-dev", "-dev-no-store-token",
		"-dev-root-token-id=root", "-dev-listen-address="+address)
	require.NoError(t, server.Start())
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	ask := func(args ...string) (answer struct {
		LeaseID string `json:"lease_id"`
		Auth    struct {
			ClientToken string `json:"client_token"`
		}
	}, err error) {
		cmd := exec.Command(product(t, "vault"), args...)
		cmd.Env = []string{"VAULT_ADDR=http://" + address, "VAULT_TOKEN=root", "VAULT_FORMAT=json", "HOME=" + t.TempDir()}
		output, err := cmd.Output()
		if err == nil && len(output) > 0 && output[0] == '{' {
			err = json.Unmarshal(output, &answer)
		}
		return answer, err
	}
	require.Eventually(t, func() bool { _, err := ask("secrets", "enable", "pki"); return err == nil }, 30*time.Second, 100*time.Millisecond)
	for _, command := range []string{
		"write pki/root/generate/internal common_name=root ttl=2000s",
		"write pki/roles/any allow_any_name=true generate_lease=true ttl=1000s",
	} {
		_, err := ask(strings.Fields(command)...)
		require.NoError(t, err, command)
	}
	issued, err := ask("write", "pki/issue/any", "common_name=one")
	require.NoError(t, err)
	login, err := ask("token", "create", "-ttl=500s", "-policy=root")
	require.NoError(t, err)
	_, err = ask("token", "renew", "-increment=800s", login.Auth.ClientToken)
	require.NoError(t, err)

	h := newHolder(t)
	text, err := os.ReadFile(h.script)
	require.NoError(t, err)
	text = []byte(strings.ReplaceAll(string(text), "https://"+VaultName+":"+vaultAPI, "http://"+address))
	require.NoError(t, os.WriteFile(h.script, text, 0o700))
	require.NoError(t, os.Remove(filepath.Join(h.bin, "vault")))
	require.NoError(t, os.Symlink(product(t, "vault"), filepath.Join(h.bin, "vault")))
	h.write(t, "run/vault-agent/token", login.Auth.ClientToken)
	h.write(t, "var/lib/hashistack/leases", "dns "+issued.LeaseID+"\n")

	code, says := h.check(t)
	assert.Zero(t, code, says)
	assert.Regexp(t, `passing: the login to Vault has (800|79\d) s of (79\d|80[01]) s left`, says)
	assert.Regexp(t, `passing: the Consul token dns has (1000|99\d) s of (99\d|100[01]) s left`, says)

	_, err = ask("lease", "revoke", "-sync", issued.LeaseID)
	require.NoError(t, err)
	code, says = h.check(t)
	assert.Equal(t, 2, code, says)
	assert.Contains(t, says, "critical: the Consul token dns has 0 s of 1 s left")
}
