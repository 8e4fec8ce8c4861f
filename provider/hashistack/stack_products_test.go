//go:build products

package hashistack_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optdestroy"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optpreview"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/provider/internal/rig"
	"hashistack/sdks/hashistack"
)

// program is a platform of one server of each product, which exports all its secrets.
func program(ca rig.Authority, vault, consul, nomad []*rig.Product) pulumi.RunFunc {
	node := func(i int, address string) hashistack.NodeArgs {
		return hashistack.NodeArgs{Name: pulumi.Sprintf("server-%d", i+1), Address: pulumi.String(address)}
	}
	cluster := func(servers []*rig.Product) hashistack.ClusterArgs {
		var nodes hashistack.NodeArray
		for i, address := range rig.Addresses(servers) {
			nodes = append(nodes, node(i, address))
		}
		return hashistack.ClusterArgs{Nodes: nodes, CaPem: pulumi.String(ca.PEM)}
	}
	return func(ctx *pulumi.Context) error {
		initialised, err := hashistack.NewVaultInit(ctx, "vault", &hashistack.VaultInitArgs{Cluster: cluster(vault)})
		if err != nil {
			return err
		}
		unsealed, err := hashistack.NewVaultUnseal(ctx, "server-1", &hashistack.VaultUnsealArgs{
			Node: node(0, vault[0].Address), Keys: initialised.UnsealKeys, CaPem: pulumi.String(ca.PEM),
		})
		if err != nil {
			return err
		}
		consulACL, err := hashistack.NewConsulBootstrap(ctx, "consul", &hashistack.ConsulBootstrapArgs{
			Cluster: cluster(consul), ExpectedVoters: pulumi.Int(1), BootstrapSecret: pulumi.String(rig.Secret),
		})
		if err != nil {
			return err
		}
		nomadACL, err := hashistack.NewNomadBootstrap(ctx, "nomad", &hashistack.NomadBootstrapArgs{
			Cluster: cluster(nomad), ExpectedVoters: pulumi.Int(1), BootstrapSecret: pulumi.String(rig.OtherSecret),
		})
		if err != nil {
			return err
		}
		ctx.Export("rootToken", initialised.RootToken)
		ctx.Export("unsealKeys", initialised.UnsealKeys)
		ctx.Export("sealed", unsealed.Sealed)
		ctx.Export("consulToken", consulACL.Token)
		ctx.Export("nomadToken", nomadACL.Token)
		return nil
	}
}

// testStack is a stack of a program, with the provider as Pulumi runs it.
type testStack struct {
	auto.Stack
	home string
}

func newStack(t *testing.T, program pulumi.RunFunc) testStack {
	t.Helper()
	source, err := filepath.Abs("..")
	require.NoError(t, err)
	t.Setenv("PATH", rig.Tools(t)+string(os.PathListSeparator)+os.Getenv("PATH"))
	home, backend := t.TempDir(), t.TempDir()
	// The default provider of a package takes over the configuration of that name, and the project has the same name.
	stack, err := auto.UpsertStackInlineSource(t.Context(), "test", "hashistack", program,
		auto.PulumiHome(home), auto.WorkDir(t.TempDir()), auto.SecretsProvider("passphrase"),
		auto.EnvVars(map[string]string{
			"PULUMI_CONFIG_PASSPHRASE": "test", "PULUMI_SKIP_UPDATE_CHECK": "true",
			// What a shell that worked with another platform has.
			"VAULT_CACERT": "/nonexistent", "CONSUL_HTTP_TOKEN": "another", "NOMAD_ADDR": "http://192.0.2.1:4646",
		}),
		auto.Project(workspace.Project{
			Name: tokens.PackageName("hashistack"), Runtime: workspace.NewProjectRuntimeInfo("go", nil),
			Backend: &workspace.ProjectBackend{URL: "file://" + backend},
			Plugins: &workspace.Plugins{Providers: []workspace.PluginOptions{{Name: "hashistack", Path: source}}},
		}))
	require.NoError(t, err)
	return testStack{stack, home}
}

// exported is what `pulumi stack export` shows. The automation API's own Export asks for the secrets.
func (s testStack) exported(t *testing.T) []byte {
	t.Helper()
	export := exec.Command(filepath.Join(rig.Tools(t), "pulumi"), "stack", "export", "--stack", "test")
	export.Dir = s.Workspace().WorkDir()
	export.Env = append(os.Environ(), "PULUMI_HOME="+s.home, "PULUMI_CONFIG_PASSPHRASE=test")
	state, err := export.Output()
	require.NoError(t, err)
	return state
}

// The provider as Pulumi runs it, from source, with real products: no secret in the exported state or on the screen,
// no change without a reason.
func TestStack(t *testing.T) {
	ca := rig.NewAuthority(t)
	vault, consul, nomad := rig.StartVault(t, ca, 1, nil), rig.StartConsul(t, ca, 1), rig.StartNomad(t, ca, 1)

	stack := newStack(t, program(ca, vault, consul, nomad))
	require.NoError(t, stack.SetConfigWithOptions(t.Context(), "hashistack:pools[0].name", auto.ConfigValue{Value: "server"}, &auto.ConfigOptions{Path: true}))

	var screen bytes.Buffer
	preview, err := stack.Preview(t.Context(), optpreview.ProgressStreams(&screen))
	require.NoError(t, err, preview.StdErr)

	up, err := stack.Up(t.Context(), optup.ProgressStreams(&screen))
	require.NoError(t, err, up.StdErr)
	assert.Equal(t, false, up.Outputs["sealed"].Value)
	var secrets []string
	for _, name := range []string{"rootToken", "consulToken", "nomadToken"} {
		assert.True(t, up.Outputs[name].Secret, name)
		secrets = append(secrets, up.Outputs[name].Value.(string))
	}
	for _, key := range up.Outputs["unsealKeys"].Value.([]any) {
		secrets = append(secrets, key.(string))
	}
	require.Len(t, secrets, 8)

	state := stack.exported(t)
	// Without NotContains: when that fails, it prints what it searched, and so the secrets.
	for i, secret := range secrets {
		assert.False(t, bytes.Contains(state, []byte(secret)), "secret %d is in the exported state", i)
		assert.False(t, bytes.Contains(screen.Bytes(), []byte(secret)), "secret %d is on the screen", i)
	}
	assert.Contains(t, string(state), "hashistack:index:VaultInit") // so that it is the state that was searched
	assert.Contains(t, screen.String(), "server-1")                 // so that it is the screen that was searched

	_, err = stack.Up(t.Context(), optup.ExpectNoChanges())
	require.NoError(t, err, "a second update must change nothing")
	_, err = stack.Preview(t.Context(), optpreview.Refresh(), optpreview.ExpectNoChanges())
	require.NoError(t, err, "a refresh must find no difference")

	// The form of the patterns in the remedies: exactly the resource of that type and name.
	replaced, err := stack.Preview(t.Context(), optpreview.Replace([]string{"**:VaultUnseal::server-1"}))
	require.NoError(t, err)
	assert.Equal(t, 1, replaced.ChangeSummary[apitype.OpReplace])
	assert.Equal(t, 4, replaced.ChangeSummary[apitype.OpSame])

	// A new value in the stack's configuration is none of the provider's business.
	require.NoError(t, stack.SetConfigWithOptions(t.Context(), "hashistack:pools[0].name", auto.ConfigValue{Value: "other"}, &auto.ConfigOptions{Path: true}))
	changed, err := stack.Up(t.Context(), optup.ProgressStreams(&screen))
	require.NoError(t, err, changed.StdErr)
	assert.Equal(t, map[string]int{"same": 5}, *changed.Summary.ResourceChanges)
	assert.Equal(t, secrets[0], changed.Outputs["rootToken"].Value)

	// Vault was restarted behind Pulumi's back.
	vault[0].Restart(t, true)
	rig.Eventually(t, "the refresh finds Vault sealed", func() bool {
		refreshed, err := stack.Refresh(t.Context())
		return err == nil && strings.Contains(refreshed.StdOut, "~ ")
	})
	mended, err := stack.Up(t.Context())
	require.NoError(t, err, mended.StdErr)
	assert.Equal(t, 1, (*mended.Summary.ResourceChanges)["update"])

	_, err = stack.Destroy(t.Context(), optdestroy.ProgressStreams(&screen))
	require.NoError(t, err)
	if t.Failed() {
		t.Log(screen.String())
	}
}
