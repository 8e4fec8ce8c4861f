//go:build products

package machine

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// freePorts returns ports that nothing listens on.
func freePorts(t *testing.T, count int) []string {
	t.Helper()
	ports := make([]string, count)
	for i := range ports {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer func() { _ = listener.Close() }()
		ports[i] = strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// consulServer is a Consul server with TLS and ACLs.
type consulServer struct {
	dir  string // of its configuration
	ca   string // file with the root certificate
	port string
}

// managementToken may do everything.
const managementToken = "0c6e1f0a-57a5-4d5e-8a5b-3b1a6f0f9d11"

// startConsul runs a Consul server until the test ends.
func startConsul(t *testing.T) consulServer {
	t.Helper()
	consul, dir := product(t, "consul"), t.TempDir()
	for _, args := range [][]string{{"tls", "ca", "create"}, {"tls", "cert", "create", "-server"}} {
		cmd := exec.Command(consul, args...)
		cmd.Dir = dir
		output, err := cmd.CombinedOutput()
		require.NoError(t, err, string(output))
	}
	ports := freePorts(t, 3)
	s := consulServer{filepath.Join(dir, "config"), filepath.Join(dir, "consul-agent-ca.pem"), ports[0]}
	require.NoError(t, os.Mkdir(s.dir, 0o700))
	config := `{"server": true, "bootstrap": true, "node_name": "client-1", "enable_local_script_checks": true, "data_dir": "` + dir + `/data", "bind_addr": "127.0.0.1", "client_addr": "127.0.0.1",
"performance": {"raft_multiplier": 1}, "disable_update_check": true,
"ports": {"http": -1, "dns": -1, "grpc": -1, "grpc_tls": -1, "serf_wan": -1, "https": ` + ports[0] + `, "server": ` + ports[1] + `, "serf_lan": ` + ports[2] + `},
"tls": {"defaults": {"ca_file": "` + s.ca + `", "cert_file": "` + dir + `/dc1-server-consul-0.pem", "key_file": "` + dir + `/dc1-server-consul-0-key.pem", "verify_outgoing": true}},
"acl": {"enabled": true, "default_policy": "deny", "tokens": {"initial_management": "` + managementToken + `", "agent": "` + managementToken + `"}}}`
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "agent.json"), []byte(config), 0o600))
	cmd := exec.CommandContext(t.Context(), consul, "agent", "-config-dir="+s.dir)
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

func (s consulServer) try(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(product(t, "consul"), args...)
	cmd.Env = []string{"CONSUL_HTTP_ADDR=https://localhost:" + s.port, "CONSUL_CACERT=" + s.ca, "CONSUL_HTTP_TOKEN=" + managementToken}
	output, err := cmd.CombinedOutput()
	return string(output), err
}

func (s consulServer) manage(t *testing.T, args ...string) string {
	t.Helper()
	output, err := s.try(t, args...)
	require.NoError(t, err, output)
	return output
}

// token issues a token with the rules in a file.
func (s consulServer) token(t *testing.T, name, rules string) string {
	t.Helper()
	s.manage(t, "acl", "policy", "create", "-name="+name, "-rules="+rules)
	_, token, found := strings.Cut(s.manage(t, "acl", "token", "create", "-policy-name="+name), "SecretID:")
	require.True(t, found)
	return strings.Fields(token)[0]
}

// health is the state of each check of a service, by its node.
func (s consulServer) health(t *testing.T, service string) map[string]string {
	t.Helper()
	pem, err := os.ReadFile(s.ca)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(pem))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://localhost:"+s.port+"/v1/health/checks/"+service, nil)
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

// With the token and the policy of the machine's agent, the state of its credentials is in Consul's catalog.
func TestConsulShowsCredentials(t *testing.T) {
	rules, err := os.ReadFile("../../components/policies/consul/agent.hcl")
	require.NoError(t, err)
	s, h := startConsul(t), newHolder(t)
	h.certificate(t, "consul", 99)
	_, _ = h.check(t)

	service := credentialsService(Machine{Pool: "client"})
	service.Token = s.token(t, "agent-client", strings.ReplaceAll(string(rules), "[[ .Pool ]]", "client"))
	service.Checks[0].Args[0], service.Checks[0].Interval = h.script, 0
	encoded, err := json.Marshal(map[string]any{"services": []any{service}})
	require.NoError(t, err)
	text := strings.Replace(string(encoded), `"interval":"0s"`, `"interval":"1s"`, 1)
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "tokens.json"), []byte(text), 0o600))
	s.manage(t, "reload")

	for _, c := range []struct {
		percent int
		want    string
	}{{99, "passing"}, {20, "warning"}, {10, "critical"}, {99, "passing"}} {
		h.certificate(t, "consul", c.percent)
		_, _ = h.check(t)
		require.Eventually(t, func() bool { return s.health(t, "credentials")["client-1"] == c.want },
			30*time.Second, 100*time.Millisecond, "%d %% left: %s", c.percent, c.want)
	}
}
