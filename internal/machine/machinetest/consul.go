package machinetest

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Consul is a Consul server with TLS and ACLs.
type Consul struct {
	Dir  string // of its configuration
	CA   string // file with the root certificate
	Port string
}

// managementToken may do everything.
const managementToken = "0c6e1f0a-57a5-4d5e-8a5b-3b1a6f0f9d11" //nolint:gosec // of a Consul that lives as long as a test

// StartConsul runs a Consul server until the test ends.
func StartConsul(t *testing.T) Consul {
	t.Helper()
	consul, dir := Product(t, "consul"), t.TempDir()
	for _, args := range [][]string{{"tls", "ca", "create"}, {"tls", "cert", "create", "-server"}} {
		cmd := exec.Command(consul, args...)
		cmd.Dir = dir
		output, err := cmd.CombinedOutput()
		require.NoError(t, err, string(output))
	}
	ports := FreePorts(t, 3)
	s := Consul{filepath.Join(dir, "config"), filepath.Join(dir, "consul-agent-ca.pem"), ports[0]}
	require.NoError(t, os.Mkdir(s.Dir, 0o700))
	config := `{"server": true, "bootstrap": true, "node_name": "client-1", "enable_local_script_checks": true, "data_dir": "` + dir + `/data", "bind_addr": "127.0.0.1", "client_addr": "127.0.0.1",
"performance": {"raft_multiplier": 1}, "disable_update_check": true,
"ports": {"http": -1, "dns": -1, "grpc": -1, "grpc_tls": -1, "serf_wan": -1, "https": ` + ports[0] + `, "server": ` + ports[1] + `, "serf_lan": ` + ports[2] + `},
"tls": {"defaults": {"ca_file": "` + s.CA + `", "cert_file": "` + dir + `/dc1-server-consul-0.pem", "key_file": "` + dir + `/dc1-server-consul-0-key.pem", "verify_outgoing": true}},
"acl": {"enabled": true, "default_policy": "deny", "tokens": {"initial_management": "` + managementToken + `", "agent": "` + managementToken + `"}}}`
	require.NoError(t, os.WriteFile(filepath.Join(s.Dir, "agent.json"), []byte(config), 0o600))
	cmd := exec.CommandContext(t.Context(), consul, "agent", "-config-dir="+s.Dir)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(output.String())
		}
	})

	require.Eventually(t, func() bool {
		output, err := s.try(t, "catalog", "nodes")
		return err == nil && strings.Contains(output, "127.0.0.1")
	}, 30*time.Second, 100*time.Millisecond, "Consul has a leader")
	return s
}

func (s Consul) try(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(Product(t, "consul"), args...)
	cmd.Env = []string{"CONSUL_HTTP_ADDR=https://localhost:" + s.Port, "CONSUL_CACERT=" + s.CA, "CONSUL_HTTP_TOKEN=" + managementToken}
	output, err := cmd.CombinedOutput()
	return string(output), err
}

// Manage runs a command of Consul's with the management token, and returns its output.
func (s Consul) Manage(t *testing.T, args ...string) string {
	t.Helper()
	output, err := s.try(t, args...)
	require.NoError(t, err, output)
	return output
}

// Token issues a token with the rules in a file.
func (s Consul) Token(t *testing.T, name, rules string) string {
	t.Helper()
	s.Manage(t, "acl", "policy", "create", "-name="+name, "-rules="+rules)
	_, token, found := strings.Cut(s.Manage(t, "acl", "token", "create", "-policy-name="+name), "SecretID:")
	require.True(t, found)
	return strings.Fields(token)[0]
}

// Health is the state of each check of a service, by its node.
func (s Consul) Health(t *testing.T, service string) map[string]string {
	t.Helper()
	pem, err := os.ReadFile(s.CA)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(pem))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://localhost:"+s.Port+"/v1/health/checks/"+service, nil)
	require.NoError(t, err)
	request.Header.Set("X-Consul-Token", managementToken)
	response, err := client.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	var checks []struct{ Node, Status string }
	require.NoError(t, json.NewDecoder(response.Body).Decode(&checks))
	states := map[string]string{}
	for _, check := range checks {
		states[check.Node] = check.Status
	}
	return states
}
