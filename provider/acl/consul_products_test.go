//go:build products

package acl_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	consul "github.com/hashicorp/consul/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/provider/internal/cluster"
	"hashistack/provider/internal/rig"
)

func TestConsulBootstrapLifecycle(t *testing.T) {
	t.Parallel()
	ca := rig.NewAuthority(t)
	servers := rig.StartConsul(t, ca, 3)
	subject := rig.New(t.Context(), t, "ConsulBootstrap", "consul")
	inputs := rig.ACLInputs(ca, servers)

	created := subject.MustCreate(inputs)
	token := created.Properties.Get("token")
	assert.Equal(t, rig.Secret, token.AsString())
	assert.True(t, token.Secret(), "token must be a secret")
	assert.True(t, created.Properties.Get("bootstrapSecret").Secret())
	assert.NotEmpty(t, created.Properties.Get("accessorId").AsString())

	// The token is a real one, and nobody gets in without it.
	http, err := cluster.HTTPClient(ca.PEM)
	require.NoError(t, err)
	client, err := consul.NewClient(&consul.Config{Address: servers[0].Address, HttpClient: http})
	require.NoError(t, err)
	_, _, err = client.ACL().TokenList(&consul.QueryOptions{Token: rig.Secret})
	require.NoError(t, err)
	_, _, err = client.ACL().TokenList(nil)
	require.Error(t, err)

	read := subject.Read(created, inputs)
	assert.Equal(t, created.ID, read.ID)
	assert.Equal(t, created.Properties, read.Properties, "a refresh must not show a difference")
	assert.False(t, subject.Diff(read.Properties, inputs, inputs).HasChanges)

	// What an update that was killed after the bootstrap finds: its own token.
	again := subject.MustCreate(inputs)
	assert.Equal(t, created.Properties.Get("accessorId"), again.Properties.Get("accessorId"))

	// One server less is a warning, no difference, and no reason to lose the token.
	servers[0].Stop(t)
	assert.Equal(t, created.ID, subject.Read(created, inputs).ID)

	// The quorum is lost: the token may still exist.
	servers[1].Stop(t)
	assert.Equal(t, created.ID, subject.Read(created, inputs).ID)
}

func TestConsulBootstrapWithAnotherSecret(t *testing.T) {
	t.Parallel()
	ca := rig.NewAuthority(t)
	servers := rig.StartConsul(t, ca, 1)
	subject := rig.New(t.Context(), t, "ConsulBootstrap", "consul")
	inputs := rig.ACLInputs(ca, servers)
	created := subject.MustCreate(inputs)

	other := rig.With(inputs, "bootstrapSecret", rig.OtherSecret)
	_, err := subject.Create(other)
	require.Error(t, err)
	t.Log(err)
	assert.NotContains(t, err.Error(), rig.Secret)
	assert.NotContains(t, err.Error(), rig.OtherSecret)
	assert.NotContains(t, err.Error(), "--replace", "what Consul stores would go with its machines")

	// The remedy of the message, taken to the letter.
	remedy := regexp.MustCompile("echo ([0-9]+) > DATA_DIR/([a-z/-]+)").FindStringSubmatch(err.Error())
	require.NotNil(t, remedy, err.Error())
	require.NoError(t, os.WriteFile(filepath.Join(servers[0].Dir, "data", remedy[2]), []byte(remedy[1]), 0o600))
	subject.MustCreate(other)

	// A token that was deleted is gone for the state, too.
	http, err := cluster.HTTPClient(ca.PEM)
	require.NoError(t, err)
	client, err := consul.NewClient(&consul.Config{Address: servers[0].Address, HttpClient: http, Token: rig.OtherSecret})
	require.NoError(t, err)
	_, err = client.ACL().TokenDelete(created.Properties.Get("accessorId").AsString(), nil)
	require.NoError(t, err)
	assert.Empty(t, subject.Read(created, inputs).ID)
}

func TestConsulBootstrapWaitsForVoters(t *testing.T) {
	t.Parallel()
	ca := rig.NewAuthority(t)
	servers := rig.StartConsul(t, ca, 1)
	subject := rig.New(t.Context(), t, "ConsulBootstrap", "consul")
	inputs := rig.With(rig.With(rig.ACLInputs(ca, servers), "expectedVoters", 3), "timeout", "8s")
	_, err := subject.Create(inputs)
	require.Error(t, err)
	t.Log(err)
	assert.Regexp(t, `timed out after 8s: want Consul to have a leader and 3 peers, got: server-1 \(https://127.0.0.1:\d+\): leader 127.0.0.1:\d+ and 1 of 3 peers`, err.Error())
}

func TestConsulBootstrapNeedsItsAuthority(t *testing.T) {
	t.Parallel()
	ca := rig.NewAuthority(t)
	servers := rig.StartConsul(t, ca, 1)
	subject := rig.New(t.Context(), t, "ConsulBootstrap", "consul")
	_, err := subject.Create(rig.With(rig.With(rig.ACLInputs(ca, servers), "cluster.caPem", rig.NewAuthority(t).PEM), "timeout", "5s"))
	require.Error(t, err)
	t.Log(err)
	assert.Contains(t, err.Error(), "caPem does not hold the authority that signed it")
}
