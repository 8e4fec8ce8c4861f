//go:build products

package token_test

import (
	"testing"

	consul "github.com/hashicorp/consul/api"
	p "github.com/pulumi/pulumi-go-provider"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/provider/internal/cluster"
	"hashistack/provider/internal/rig"
)

func TestToken(t *testing.T) {
	t.Parallel()
	ca := rig.NewAuthority(t)
	servers := rig.StartConsul(t, ca, 3)
	rig.New(t.Context(), t, "ConsulBootstrap", "consul").MustCreate(rig.ACLInputs(ca, servers))
	http, err := cluster.HTTPClient(ca.PEM)
	require.NoError(t, err)
	client, err := consul.NewClient(&consul.Config{Address: servers[1].Address, HttpClient: http, Token: rig.Secret})
	require.NoError(t, err)
	self := func() (*consul.ACLToken, error) {
		token, _, err := client.ACL().TokenReadSelf(&consul.QueryOptions{Token: rig.OtherSecret})
		return token, err
	}
	subject := rig.New(t.Context(), t, "ConsulToken", "consul-engine")
	// The first server is away for all of it.
	addresses := append([]string{"https://127.0.0.9:1"}, rig.Addresses(servers)...)
	inputs := map[string]any{
		"cluster": rig.ClusterWith(ca, rig.Secret, addresses...), "description": "an engine", "policies": []any{"global-management"},
		"secretId": rig.OtherSecret, "timeout": "20s",
	}

	created := subject.MustCreate(inputs)
	assert.True(t, created.Properties.Get("token").Secret())
	assert.Equal(t, rig.OtherSecret, created.Properties.Get("token").AsString())
	found, err := self()
	require.NoError(t, err)
	assert.Equal(t, created.ID, found.AccessorID)
	assert.Equal(t, "global-management", found.Policies[0].Name)
	read := subject.Read(created, inputs)
	assert.Equal(t, created.Properties, read.Properties, "a refresh must not show a difference")

	// What an update that was killed after the creation finds: its own token.
	again := subject.MustCreate(inputs)
	assert.Equal(t, created.ID, again.ID)

	// Another description and another policy are the same token.
	_, _, err = client.ACL().PolicyCreate(&consul.ACLPolicy{Name: "less", Rules: `key_prefix "" { policy = "read" }`}, nil)
	require.NoError(t, err)
	less := rig.With(rig.With(inputs, "description", "less"), "policies", []any{"less"})
	_, err = subject.Update(created.Properties, inputs, less)
	require.NoError(t, err)
	found, err = self()
	require.NoError(t, err)
	assert.Equal(t, []string{created.ID, "less", "less"}, []string{found.AccessorID, found.Description, found.Policies[0].Name})
	drifted := subject.Read(created, inputs)
	assert.Equal(t, "less", drifted.Properties.Get("description").AsString(), "a refresh shows what somebody changed")

	// What may not be, is said at once.
	_, err = subject.Create(rig.With(rig.With(inputs, "secretId", "99999999-8888-4777-8666-555555555555"), "policies", []any{"nowhere"}))
	require.ErrorContains(t, err, "nowhere")
	_, err = subject.Create(rig.With(rig.With(inputs, "secretId", "99999999-8888-4777-8666-555555555555"), "cluster.token", rig.OtherSecret))
	require.ErrorContains(t, err, "cluster.token may not write ACLs")

	require.NoError(t, subject.Server.Delete(p.DeleteRequest{ID: created.ID, Urn: subject.URN, Properties: created.Properties}))
	_, err = self()
	require.Error(t, err)
	assert.Empty(t, subject.Read(created, inputs).ID, "a refresh finds that it is gone")
	require.NoError(t, subject.Server.Delete(p.DeleteRequest{ID: created.ID, Urn: subject.URN, Properties: created.Properties}), "once more")

	// No server answers: the token is kept.
	for _, server := range servers {
		server.Stop(t)
	}
	assert.Equal(t, created.ID, subject.Read(created, inputs).ID)
}
