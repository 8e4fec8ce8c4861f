//go:build e2e

package scenario

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// roots returns the stack's root certificate and no other.
func (r *run) roots(t *testing.T) *x509.CertPool {
	t.Helper()
	pem, err := os.ReadFile(r.outputs.CAFile)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(pem))
	return pool
}

func httpClient(config *tls.Config) *http.Client {
	config.MinVersion = tls.VersionTLS12
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: config}}
}

func (r *run) anonymous(t *testing.T) {
	client := httpClient(&tls.Config{RootCAs: r.roots(t)})
	for _, c := range []struct {
		address, path, header, token string
		anonymous, permitted         int
	}{
		{r.outputs.VaultAddress, "/v1/sys/mounts", "X-Vault-Token", r.outputs.VaultToken, 403, 200},
		{r.outputs.VaultAddress, "/v1/secret/data/default/page/config", "X-Vault-Token", r.outputs.VaultToken, 403, 200},
		{r.outputs.ConsulAddress, "/v1/acl/tokens", "X-Consul-Token", r.outputs.ConsulToken, 403, 200},
		{r.outputs.ConsulAddress, "/v1/agent/self", "X-Consul-Token", r.outputs.ConsulToken, 403, 200},
		{r.outputs.ConsulAddress, "/v1/operator/raft/configuration", "X-Consul-Token", r.outputs.ConsulToken, 403, 200},
		{r.outputs.NomadAddress, "/v1/jobs", "X-Nomad-Token", r.outputs.NomadToken, 403, 200},
		{r.outputs.NomadAddress, "/v1/nodes", "X-Nomad-Token", r.outputs.NomadToken, 403, 200},
		{r.outputs.NomadAddress, "/v1/acl/tokens", "X-Nomad-Token", r.outputs.NomadToken, 403, 200},
	} {
		for token, want := range map[string]int{"": c.anonymous, c.token: c.permitted} {
			request, err := http.NewRequest(http.MethodGet, c.address+c.path, nil)
			require.NoError(t, err)
			who := "anonymous"
			if token != "" {
				request.Header.Set(c.header, token)
				who = "with token"
			}
			response, err := client.Do(request)
			require.NoError(t, err)
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			assert.Equal(t, want, response.StatusCode, "%s%s, %s: %.200s", c.address, c.path, who, body)
		}
	}
	// Without a token Consul still answers a question for services, but the answer must be empty.
	response, err := client.Get(r.outputs.ConsulAddress + "/v1/catalog/services")
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	assert.Equal(t, "{}", strings.TrimSpace(string(body)))
}

func (r *run) apis() map[string]string {
	return map[string]string{"Vault": r.outputs.VaultAddress, "Consul": r.outputs.ConsulAddress, "Nomad": r.outputs.NomadAddress}
}

func (r *run) untrusting(t *testing.T) {
	client := httpClient(&tls.Config{RootCAs: x509.NewCertPool()})
	for product, address := range r.apis() {
		_, err := client.Get(address) //nolint:bodyclose // there is none
		var unknown x509.UnknownAuthorityError
		assert.ErrorAs(t, err, &unknown, product)
	}
}

func (r *run) wrongName(t *testing.T) {
	roots := r.roots(t)
	for product, address := range r.apis() {
		host := strings.TrimPrefix(address, "https://")
		for name, right := range map[string]bool{"wrong.example.com": false, strings.Split(host, ":")[0]: true} {
			connection, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", host,
				&tls.Config{RootCAs: roots, ServerName: name, MinVersion: tls.VersionTLS12})
			if right {
				if assert.NoError(t, err, "%s as %s", product, name) {
					require.NoError(t, connection.Close())
				}
				continue
			}
			var mismatch x509.HostnameError
			assert.ErrorAs(t, err, &mismatch, "%s as %s", product, name)
		}
	}
}

// closedElsewhere tries a port that is open to operators from a public address that is not one of theirs: another machine's.
func (r *run) closedElsewhere(t *testing.T, machine, port string) {
	t.Helper()
	const from = "client-1"
	address := r.outputs.Machines[machine]
	_, err := r.stack.OnMachine(t.Context(), from, "timeout", "3", "bash", "-c", "exec 3<>/dev/tcp/"+address+"/"+port)
	require.ErrorContains(t, err, "exit status 124", "what the cloud's firewall drops gets no answer: port %s of %s from %s", port, machine, from)
	_, err = r.stack.OnMachine(t.Context(), from, "ping", "-c", "1", "-W", "2", address)
	require.NoError(t, err, "pings from %s to %s show that there is a way", from, machine)
}

func (r *run) firewall(t *testing.T) {
	open := func(machine, port string) bool {
		connection, err := net.DialTimeout("tcp", net.JoinHostPort(r.outputs.Machines[machine], port), 2*time.Second)
		if err != nil {
			return false
		}
		require.NoError(t, connection.Close())
		return true
	}
	for _, c := range []struct {
		machine string
		port    string
		open    bool
	}{
		{"server-1", "8200", true}, {"server-1", "8501", true}, {"server-1", "4646", true},
		{"server-1", "22", false}, {"server-1", "8201", false}, {"server-1", "8300", false}, {"server-1", "8301", false},
		{"server-1", "8503", false}, {"server-1", "4647", false}, {"server-1", "4648", false},
		{"client-1", "22", false}, {"client-1", "4646", false}, {"client-1", "8501", false}, {"client-1", "8301", false},
	} {
		assert.Equal(t, c.open, open(c.machine, c.port), "port %s of %s is open", c.port, c.machine)
		if c.open {
			r.closedElsewhere(t, c.machine, c.port)
		}
	}
}
