//go:build products

package bootstrap

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	consul "github.com/hashicorp/consul/api"
	p "github.com/pulumi/pulumi-go-provider"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// startConsul runs a cluster of servers with TLS, and ACLs that deny by default.
func startConsul(t *testing.T, ca authority, servers int, changes ...func(config map[string]any)) []*product {
	t.Helper()
	ports := freePorts(t, 3*servers)
	cluster := make([]*product, servers)
	for i := range cluster {
		dir := t.TempDir()
		ca.writeCertificate(t, dir, "server.dc1.consul", "localhost")
		config := map[string]any{
			"server": true, "node_name": fmt.Sprintf("server-%d", i+1), "bootstrap_expect": servers,
			"data_dir": filepath.Join(dir, "data"), "bind_addr": "127.0.0.1", "client_addr": "127.0.0.1",
			"ports": map[string]any{
				"https": ports[3*i], "server": ports[3*i+1], "serf_lan": ports[3*i+2],
				"http": -1, "dns": -1, "grpc": -1, "grpc_tls": -1, "serf_wan": -1,
			},
			"retry_join":  []string{local(ports[2])},
			"acl":         map[string]any{"enabled": true, "default_policy": "deny"},
			"performance": map[string]any{"raft_multiplier": 1},
			"tls": map[string]any{
				"defaults": map[string]any{
					"ca_file": filepath.Join(dir, "ca.pem"), "cert_file": filepath.Join(dir, "cert.pem"), "key_file": filepath.Join(dir, "key.pem"),
					"verify_outgoing": true, "verify_incoming": true,
				},
				"https":        map[string]any{"verify_incoming": false},
				"internal_rpc": map[string]any{"verify_server_hostname": true},
			},
		}
		for _, change := range changes {
			change(config)
		}
		writeJSON(t, filepath.Join(dir, "consul.json"), config)
		cluster[i] = start(t, dir, "consul", "agent", "-config-file="+filepath.Join(dir, "consul.json"))
		cluster[i].address = "https://" + local(ports[3*i])
	}
	return cluster
}

func TestConsulBootstrapLifecycle(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cluster := startConsul(t, ca, 3)
	subject := newSubject(t.Context(), t, "ConsulBootstrap", "consul")
	inputs := aclInputs(ca, cluster)

	created := subject.mustCreate(inputs)
	token := created.Properties.Get("token")
	assert.Equal(t, secret, token.AsString())
	assert.True(t, token.Secret(), "token must be a secret")
	assert.True(t, created.Properties.Get("bootstrapSecret").Secret())
	assert.NotEmpty(t, created.Properties.Get("accessorId").AsString())

	// The token is a real one, and nobody gets in without it.
	http, err := httpClient(ca.pem)
	require.NoError(t, err)
	client, err := consul.NewClient(&consul.Config{Address: cluster[0].address, HttpClient: http})
	require.NoError(t, err)
	_, _, err = client.ACL().TokenList(&consul.QueryOptions{Token: secret})
	require.NoError(t, err)
	_, _, err = client.ACL().TokenList(nil)
	require.Error(t, err)

	read := subject.read(created, inputs)
	assert.Equal(t, created.ID, read.ID)
	assert.Equal(t, created.Properties, read.Properties, "a refresh must not show a difference")
	assert.False(t, subject.diff(read.Properties, inputs, inputs).HasChanges)

	// What an update that was killed after the bootstrap finds: its own token.
	again := subject.mustCreate(inputs)
	assert.Equal(t, created.Properties.Get("accessorId"), again.Properties.Get("accessorId"))

	// One server less is a warning, no difference, and no reason to lose the token.
	cluster[0].stop(t)
	assert.Equal(t, created.ID, subject.read(created, inputs).ID)

	// The quorum is lost: the token may still exist.
	cluster[1].stop(t)
	assert.Equal(t, created.ID, subject.read(created, inputs).ID)
}

func TestConsulBootstrapWithAnotherSecret(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cluster := startConsul(t, ca, 1)
	subject := newSubject(t.Context(), t, "ConsulBootstrap", "consul")
	inputs := aclInputs(ca, cluster)
	created := subject.mustCreate(inputs)

	other := with(inputs, "bootstrapSecret", otherSecret)
	_, err := subject.create(other)
	require.Error(t, err)
	t.Log(err)
	assert.NotContains(t, err.Error(), secret)
	assert.NotContains(t, err.Error(), otherSecret)
	assert.Contains(t, err.Error(), "--replace '**:Server::server-1'")

	// The remedy of the message, taken to the letter.
	remedy := regexp.MustCompile("echo ([0-9]+) > DATA_DIR/([a-z/-]+)").FindStringSubmatch(err.Error())
	require.NotNil(t, remedy, err.Error())
	require.NoError(t, os.WriteFile(filepath.Join(cluster[0].dir, "data", remedy[2]), []byte(remedy[1]), 0o600))
	subject.mustCreate(other)

	// A token that was deleted is gone for the state, too.
	http, err := httpClient(ca.pem)
	require.NoError(t, err)
	client, err := consul.NewClient(&consul.Config{Address: cluster[0].address, HttpClient: http, Token: otherSecret})
	require.NoError(t, err)
	_, err = client.ACL().TokenDelete(created.Properties.Get("accessorId").AsString(), nil)
	require.NoError(t, err)
	assert.Empty(t, subject.read(created, inputs).ID)
}

func TestConsulBootstrapWaitsForVoters(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cluster := startConsul(t, ca, 1)
	subject := newSubject(t.Context(), t, "ConsulBootstrap", "consul")
	inputs := with(with(aclInputs(ca, cluster), "expectedVoters", 3), "timeout", "8s")
	_, err := subject.create(inputs)
	require.Error(t, err)
	t.Log(err)
	assert.Regexp(t, `timed out after 8s: want Consul to have a leader and 3 peers, got: server-1 \(https://127.0.0.1:\d+\): leader 127.0.0.1:\d+ and 1 of 3 peers`, err.Error())
}

// A machine in the place of another may boot for a while. Whoever talks to it next has to find it.
func TestConsulBootstrapWaitsForNewMachines(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cluster := startConsul(t, ca, 3)
	subject := newSubject(t.Context(), t, "ConsulBootstrap", "consul")
	inputs := with(with(aclInputs(ca, cluster), "machineIds", []any{"1", "2", "3"}), "timeout", "120s")
	created := subject.mustCreate(inputs)
	update := func(inputs map[string]any) error {
		_, err := subject.server.Update(p.UpdateRequest{
			ID: created.ID, Urn: subject.urn, State: created.Properties, Inputs: subject.checked(inputs),
		})
		return err
	}

	cluster[2].stop(t)
	require.NoError(t, update(with(inputs, "timeout", "3s")), "the machines are the same: it may be away")
	replaced := with(inputs, "machineIds", []any{"1", "2", "4"})
	err := update(with(replaced, "timeout", "3s"))
	require.Error(t, err)
	// server-3 itself, or another that has not noticed yet that it does not lead any more.
	assert.Regexp(t, `timed out after 3s: want every server of Consul to answer, and 3 voters, all healthy, got: server-\d \(https://`, err.Error())

	waited := make(chan error, 1)
	go func() { waited <- update(replaced) }()
	cluster[2].restart(t, false)
	require.NoError(t, <-waited)
	server, err := newConsulServer(Node{"server-3", cluster[2].address}, ca.pem, secret)
	require.NoError(t, err)
	_, err = server.self(t.Context())
	require.NoError(t, err, "at once")
}

func TestConsulBootstrapNeedsItsAuthority(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cluster := startConsul(t, ca, 1)
	subject := newSubject(t.Context(), t, "ConsulBootstrap", "consul")
	_, err := subject.create(with(with(aclInputs(ca, cluster), "caPem", newAuthority(t).pem), "timeout", "5s"))
	require.Error(t, err)
	t.Log(err)
	assert.Contains(t, err.Error(), "caPem does not hold the authority that signed it")
}
