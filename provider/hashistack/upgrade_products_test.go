//go:build products

package hashistack_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/auto/optpreview"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/provider/internal/rig"
	"hashistack/sdks/hashistack"
)

// member is a program with a Consul server that is a member of its cluster.
func member(ca rig.Authority, consul *rig.Product) pulumi.RunFunc {
	return func(ctx *pulumi.Context) error {
		cluster := hashistack.ClusterArgs{
			Nodes: hashistack.NodeArray{hashistack.NodeArgs{Name: pulumi.String("server-1"), Address: pulumi.String(consul.Address)}},
			CaPem: pulumi.String(ca.PEM),
		}
		bootstrap, err := hashistack.NewConsulBootstrap(ctx, "consul", &hashistack.ConsulBootstrapArgs{
			Cluster: cluster, ExpectedVoters: pulumi.Int(1), BootstrapSecret: pulumi.String(rig.Secret),
		})
		if err != nil {
			return err
		}
		cluster.Token = bootstrap.Token.ToStringPtrOutput()
		if _, err := hashistack.NewGossipInstall(ctx, "consul", &hashistack.GossipInstallArgs{
			Product: pulumi.String("consul"), Cluster: cluster, Key: pulumi.String(rig.GossipKey),
		}); err != nil {
			return err
		}
		_, err = hashistack.NewMembership(ctx, "server-1", &hashistack.MembershipArgs{
			Machine: pulumi.String("server-1"), MachineId: pulumi.String("1"), Lane: pulumi.String("servers"), Region: pulumi.String("global"),
			Consul: cluster, NomadClient: pulumi.Bool(false),
		})
		ctx.Export("token", bootstrap.Token)
		return err
	}
}

// before gives the properties of a resource in an exported state the shape that the version before gave them.
func before(resourceType string, properties map[string]any) {
	move := func(object string, names map[string]string) {
		cluster, _ := properties[object].(map[string]any)
		for is, was := range names {
			if value, present := cluster[is]; present {
				properties[was] = value
			}
		}
		delete(properties, object)
	}
	switch resourceType {
	case "hashistack:index:ConsulBootstrap":
		move("cluster", map[string]string{"nodes": "nodes", "caPem": "caPem"})
	case "hashistack:index:GossipInstall":
		move("cluster", map[string]string{"nodes": "nodes", "caPem": "caPem", "token": "token"})
	case "hashistack:index:Membership":
		move("consul", map[string]string{"nodes": "consulNodes", "caPem": "caPem", "token": "consulToken"})
		properties["roles"] = []any{"consul-server"}
		properties["vaultNodes"], properties["vaultToken"] = properties["consulNodes"], properties["consulToken"]
		properties["nomadNodes"], properties["nomadToken"] = properties["consulNodes"], properties["consulToken"]
		properties["unsealKeys"] = []any{properties["consulToken"]}
		delete(properties, "nomadClient")
	}
}

// properties are the inputs and outputs of the resources in an exported state, by type.
func properties(t *testing.T, deployment json.RawMessage) (all map[string]any, ours map[string][]map[string]any) {
	t.Helper()
	require.NoError(t, json.Unmarshal(deployment, &all))
	ours = map[string][]map[string]any{}
	for _, resource := range all["resources"].([]any) {
		resource := resource.(map[string]any)
		if kind := resource["type"].(string); strings.HasPrefix(kind, "hashistack:index:") {
			for _, name := range []string{"inputs", "outputs"} {
				ours[kind] = append(ours[kind], resource[name].(map[string]any))
			}
		}
	}
	return all, ours
}

// Pulumi itself finds no difference in a stack that the version before brought up, and a refresh takes the secrets out of
// the state that nothing needs.
func TestStackOfTheVersionBefore(t *testing.T) {
	ca := rig.NewAuthority(t)
	stack := newStack(t, member(ca, rig.StartConsul(t, ca, 1)[0]))
	up, err := stack.Up(t.Context())
	require.NoError(t, err, up.StdErr)

	exported, err := stack.Export(t.Context())
	require.NoError(t, err)
	deployment, ours := properties(t, exported.Deployment)
	require.Len(t, ours, 3)
	for kind, list := range ours {
		for _, properties := range list {
			before(kind, properties)
		}
	}
	exported.Deployment, err = json.Marshal(deployment)
	require.NoError(t, err)
	require.NoError(t, stack.Import(t.Context(), exported))
	assert.Contains(t, string(stack.exported(t)), "vaultToken", "the shape is the old one")

	preview, err := stack.Preview(t.Context(), optpreview.ExpectNoChanges(), optpreview.Diff())
	require.NoError(t, err, preview.StdOut)
	assert.Equal(t, 4, preview.ChangeSummary[apitype.OpSame])
	_, err = stack.Up(t.Context(), optup.ExpectNoChanges())
	require.NoError(t, err)
	// The inputs of today stand beside the outputs of then.
	preview, err = stack.Preview(t.Context(), optpreview.ExpectNoChanges(), optpreview.Diff())
	require.NoError(t, err, preview.StdOut)

	_, err = stack.Refresh(t.Context())
	require.NoError(t, err)
	assert.NotContains(t, string(stack.exported(t)), rig.Secret, "a secret is in the state in plain text")
	exported, err = stack.Export(t.Context())
	require.NoError(t, err)
	_, ours = properties(t, exported.Deployment)
	require.Len(t, ours["hashistack:index:Membership"], 2)
	for _, properties := range ours["hashistack:index:Membership"] {
		for _, gone := range []string{"vaultNodes", "vaultToken", "unsealKeys", "consulToken", "nomadToken", "roles"} {
			assert.NotContains(t, properties, gone)
		}
		assert.Contains(t, properties["consul"].(map[string]any)["token"], "plaintext", "the token is encrypted in the state")
	}
	_, err = stack.Preview(t.Context(), optpreview.ExpectNoChanges())
	require.NoError(t, err)
}
