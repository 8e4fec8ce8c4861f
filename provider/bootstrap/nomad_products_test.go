//go:build products

package bootstrap

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	nomad "github.com/hashicorp/nomad/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// startNomad runs a cluster of servers with TLS and ACLs.
func startNomad(t *testing.T, ca authority, servers int, changes ...func(config map[string]any)) []*product {
	t.Helper()
	ports := freePorts(t, 3*servers)
	cluster := make([]*product, servers)
	for i := range cluster {
		dir := t.TempDir()
		ca.writeCertificate(t, dir, "server.global.nomad", "localhost")
		config := map[string]any{
			"name": fmt.Sprintf("server-%d", i+1), "data_dir": filepath.Join(dir, "data"), "bind_addr": "127.0.0.1",
			"ports": []any{map[string]any{"http": ports[3*i], "rpc": ports[3*i+1], "serf": ports[3*i+2]}},
			"server": []any{map[string]any{
				"enabled": true, "bootstrap_expect": servers, "raft_multiplier": 1,
				"server_join": []any{map[string]any{"retry_join": []string{local(ports[2])}, "retry_interval": "1s"}},
			}},
			"acl":       []any{map[string]any{"enabled": true}},
			"consul":    []any{map[string]any{"auto_advertise": false, "server_auto_join": false, "client_auto_join": false}},
			"advertise": []any{map[string]any{"http": local(ports[3*i]), "rpc": local(ports[3*i+1]), "serf": local(ports[3*i+2])}},
			"tls": []any{map[string]any{
				"http": true, "rpc": true, "verify_server_hostname": true, "verify_https_client": false,
				"ca_file": filepath.Join(dir, "ca.pem"), "cert_file": filepath.Join(dir, "cert.pem"), "key_file": filepath.Join(dir, "key.pem"),
			}},
		}
		for _, change := range changes {
			change(config)
		}
		writeJSON(t, filepath.Join(dir, "nomad.json"), config)
		cluster[i] = start(t, dir, "nomad", "agent", "-config="+filepath.Join(dir, "nomad.json"))
		cluster[i].address = "https://" + local(ports[3*i])
	}
	return cluster
}

func TestNomadBootstrapLifecycle(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cluster := startNomad(t, ca, 3)
	subject := newSubject(t.Context(), t, "NomadBootstrap", "nomad")
	inputs := aclInputs(ca, cluster)

	created := subject.mustCreate(inputs)
	token := created.Properties.Get("token")
	assert.Equal(t, secret, token.AsString())
	assert.True(t, token.Secret(), "token must be a secret")
	assert.NotEmpty(t, created.Properties.Get("accessorId").AsString())

	// The token is a real one, and nobody gets in without it.
	http, err := httpClient(ca.pem)
	require.NoError(t, err)
	client, err := nomad.NewClient(&nomad.Config{Address: cluster[0].address, HttpClient: http})
	require.NoError(t, err)
	_, _, err = client.ACLTokens().List(&nomad.QueryOptions{AuthToken: secret})
	require.NoError(t, err)
	_, _, err = client.Jobs().List(nil)
	require.Error(t, err)

	read := subject.read(created, inputs)
	assert.Equal(t, created.ID, read.ID)
	assert.Equal(t, created.Properties, read.Properties, "a refresh must not show a difference")
	assert.False(t, subject.diff(read.Properties, inputs, inputs).HasChanges)

	again := subject.mustCreate(inputs)
	assert.Equal(t, created.Properties.Get("accessorId"), again.Properties.Get("accessorId"))

	// Autopilot names a server that is gone.
	cluster[2].stop(t)
	server, err := newNomadServer(Node{Name: "server-1", Address: cluster[0].address}, ca.pem, secret)
	require.NoError(t, err)
	eventually(t, "autopilot finds the stopped server", func() bool {
		names, err := server.unhealthy(t.Context())
		return err == nil && len(names) == 1 && names[0] == "server-3.global"
	})
	assert.Equal(t, created.ID, subject.read(created, inputs).ID)
}

func TestNomadBootstrapWithAnotherSecret(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cluster := startNomad(t, ca, 1)
	subject := newSubject(t.Context(), t, "NomadBootstrap", "nomad")
	inputs := aclInputs(ca, cluster)
	created := subject.mustCreate(inputs)

	other := with(inputs, "bootstrapSecret", otherSecret)
	_, err := subject.create(other)
	require.Error(t, err)
	t.Log(err)
	assert.NotContains(t, err.Error(), secret)
	assert.NotContains(t, err.Error(), otherSecret)

	// The remedy of the message, taken to the letter.
	remedy := regexp.MustCompile("echo ([0-9]+) > DATA_DIR/([a-z/-]+)").FindStringSubmatch(err.Error())
	require.NotNil(t, remedy, err.Error())
	require.NoError(t, os.WriteFile(filepath.Join(cluster[0].dir, "data", filepath.FromSlash(remedy[2])), []byte(remedy[1]), 0o600))
	subject.mustCreate(other)

	http, err := httpClient(ca.pem)
	require.NoError(t, err)
	client, err := nomad.NewClient(&nomad.Config{Address: cluster[0].address, HttpClient: http, SecretID: otherSecret})
	require.NoError(t, err)
	_, err = client.ACLTokens().Delete(created.Properties.Get("accessorId").AsString(), nil)
	require.NoError(t, err)
	assert.Empty(t, subject.read(created, inputs).ID)
}
