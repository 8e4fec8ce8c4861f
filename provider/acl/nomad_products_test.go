//go:build products

package acl_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	nomad "github.com/hashicorp/nomad/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/provider/acl"
	"hashistack/provider/internal/cluster"
	"hashistack/provider/internal/rig"
)

func TestNomadBootstrapLifecycle(t *testing.T) {
	t.Parallel()
	ca := rig.NewAuthority(t)
	servers := rig.StartNomad(t, ca, 3)
	subject := rig.New(t.Context(), t, "NomadBootstrap", "nomad")
	inputs := rig.ACLInputs(ca, servers)

	created := subject.MustCreate(inputs)
	token := created.Properties.Get("token")
	assert.Equal(t, rig.Secret, token.AsString())
	assert.True(t, token.Secret(), "token must be a secret")
	assert.NotEmpty(t, created.Properties.Get("accessorId").AsString())

	// The token is a real one, and nobody gets in without it.
	http, err := cluster.HTTPClient(ca.PEM)
	require.NoError(t, err)
	client, err := nomad.NewClient(&nomad.Config{Address: servers[0].Address, HttpClient: http})
	require.NoError(t, err)
	_, _, err = client.ACLTokens().List(&nomad.QueryOptions{AuthToken: rig.Secret})
	require.NoError(t, err)
	_, _, err = client.Jobs().List(nil)
	require.Error(t, err)

	read := subject.Read(created, inputs)
	assert.Equal(t, created.ID, read.ID)
	assert.Equal(t, created.Properties, read.Properties, "a refresh must not show a difference")
	assert.False(t, subject.Diff(read.Properties, inputs, inputs).HasChanges)

	again := subject.MustCreate(inputs)
	assert.Equal(t, created.Properties.Get("accessorId"), again.Properties.Get("accessorId"))

	// Autopilot names a server that is gone.
	servers[2].Stop(t)
	server, err := acl.Nomad(cluster.Node{Name: "server-1", Address: servers[0].Address}, ca.PEM, rig.Secret)
	require.NoError(t, err)
	rig.Eventually(t, "autopilot finds the stopped server", func() bool {
		names, err := server.Unhealthy(t.Context())
		return err == nil && len(names) == 1 && names[0] == "server-3.global"
	})
	assert.Equal(t, created.ID, subject.Read(created, inputs).ID)
}

func TestNomadBootstrapWithAnotherSecret(t *testing.T) {
	t.Parallel()
	ca := rig.NewAuthority(t)
	servers := rig.StartNomad(t, ca, 1)
	subject := rig.New(t.Context(), t, "NomadBootstrap", "nomad")
	inputs := rig.ACLInputs(ca, servers)
	created := subject.MustCreate(inputs)

	other := rig.With(inputs, "bootstrapSecret", rig.OtherSecret)
	_, err := subject.Create(other)
	require.Error(t, err)
	t.Log(err)
	assert.NotContains(t, err.Error(), rig.Secret)
	assert.NotContains(t, err.Error(), rig.OtherSecret)

	// The remedy of the message, taken to the letter.
	remedy := regexp.MustCompile("echo ([0-9]+) > DATA_DIR/([a-z/-]+)").FindStringSubmatch(err.Error())
	require.NotNil(t, remedy, err.Error())
	require.NoError(t, os.WriteFile(filepath.Join(servers[0].Dir, "data", filepath.FromSlash(remedy[2])), []byte(remedy[1]), 0o600))
	subject.MustCreate(other)

	http, err := cluster.HTTPClient(ca.PEM)
	require.NoError(t, err)
	client, err := nomad.NewClient(&nomad.Config{Address: servers[0].Address, HttpClient: http, SecretID: rig.OtherSecret})
	require.NoError(t, err)
	_, err = client.ACLTokens().Delete(created.Properties.Get("accessorId").AsString(), nil)
	require.NoError(t, err)
	assert.Empty(t, subject.Read(created, inputs).ID)
}
