//go:build products

package access

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/internal/machine"
	"hashistack/internal/machine/machinetest"
	"hashistack/internal/names"
)

// What a real Vault says of logins and leases is understood.
func TestCredentialsOfARealVault(t *testing.T) {
	address := "127.0.0.1:" + machinetest.FreePorts(t, 1)[0]
	server := exec.CommandContext(t.Context(), machinetest.Product(t, "vault"), "server", "-dev", "-dev-no-store-token",
		"-dev-root-token-id=root", "-dev-listen-address="+address)
	require.NoError(t, server.Start())
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	ask := func(args ...string) (answer struct {
		LeaseID string `json:"lease_id"`
		Auth    struct {
			ClientToken string `json:"client_token"`
		}
	}, err error) {
		cmd := exec.Command(machinetest.Product(t, "vault"), args...)
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
	text = []byte(strings.ReplaceAll(string(text), names.VaultAddress(), "http://"+address))
	require.NoError(t, os.WriteFile(h.script, text, 0o700))
	require.NoError(t, os.Remove(h.Path("bin/vault")))
	require.NoError(t, os.Symlink(machinetest.Product(t, "vault"), h.Path("bin/vault")))
	h.Write(t, "run/vault-agent/token", login.Auth.ClientToken)
	h.Write(t, "var/lib/hashistack/leases", "dns "+issued.LeaseID+"\n")

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

// What a real Consul says of tokens is understood: of one whose policy was deleted, and made anew under the same name, and of one
// that was deleted itself.
func TestCredentialsOfARealConsul(t *testing.T) {
	s, h := machinetest.StartConsul(t), newHolder(t)
	text, err := os.ReadFile(h.script)
	require.NoError(t, err)
	text = []byte(strings.ReplaceAll(string(text), "https://localhost:8501", "https://localhost:"+s.Port))
	require.NoError(t, os.WriteFile(h.script, text, 0o700))
	ca, err := os.ReadFile(s.CA)
	require.NoError(t, err)
	h.Write(t, "etc/hashistack/ca.pem", string(ca))
	require.NoError(t, os.Symlink(machinetest.Product(t, "consul"), h.Path("bin/consul")))
	h.Command(t, "systemctl", "exit 0")
	h.answers(t, "lease lookup l/1", 0, 1000)

	const rules = `node_prefix "" { policy = "read" }`
	secret := s.Token(t, "dns", rules)
	h.Write(t, "var/lib/hashistack/leases", "dns l/1 "+secret+"\n")
	_, says := h.check(t)
	assert.NotContains(t, says, "critical: the Consul token dns", "it may")

	s.Manage(t, "acl", "policy", "delete", "-name=dns")
	s.Manage(t, "acl", "policy", "create", "-name=dns", "-rules="+rules)
	require.Eventually(t, func() bool {
		_, says = h.check(t)
		return strings.Contains(says, "critical: the Consul token dns has no policy any more")
	}, 30*time.Second, 100*time.Millisecond, "%s", says)

	h.Write(t, "var/lib/hashistack/leases", "dns l/1 11111111-2222-4333-8444-555555555555\n")
	_, says = h.check(t)
	assert.Contains(t, says, "critical: Consul does not know the token dns")
}

// With the token and the policy of the machine's agent, the state of its credentials is in Consul's catalog.
func TestConsulShowsCredentials(t *testing.T) {
	policy, err := template.New("agent.hcl").Delims("[[", "]]").Funcs(template.FuncMap{
		"machine":   func() string { return "client-1" },
		"announced": func() []machine.Announcement { return Part.Announces },
	}).ParseFiles("../consul/policies/consul/agent.hcl")
	require.NoError(t, err)
	var rules strings.Builder
	require.NoError(t, policy.Execute(&rules, nil))
	s, h := machinetest.StartConsul(t), newHolder(t)
	h.certificate(t, "consul", 99)
	_, _ = h.check(t)

	service := credentials(machine.Machine{Name: "client-1"})
	service.Token = s.Token(t, "agent-client-1", rules.String())
	service.Checks[0].Args[0], service.Checks[0].Interval = h.script, 0
	encoded, err := json.Marshal(map[string]any{"services": []any{service}})
	require.NoError(t, err)
	text := strings.Replace(string(encoded), `"interval":"0s"`, `"interval":"1s"`, 1)
	require.NoError(t, os.WriteFile(filepath.Join(s.Dir, "tokens.json"), []byte(text), 0o600))
	s.Manage(t, "reload")

	for _, c := range []struct {
		percent int
		want    string
	}{{99, "passing"}, {20, "warning"}, {10, "critical"}, {99, "passing"}} {
		h.certificate(t, "consul", c.percent)
		_, _ = h.check(t)
		require.Eventually(t, func() bool { return s.Health(t, "credentials")["client-1"] == c.want },
			30*time.Second, 100*time.Millisecond, "%d %% left: %s", c.percent, c.want)
	}
}
