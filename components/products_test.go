//go:build products

package components

import (
	"bytes"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/pulumi/pulumi-vault/sdk/v6/go/vault"
	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/require"
)

// Components with Pulumi's providers and the products themselves, from the pinned binaries that `tools/build` puts into
// .tools.

// vaultServer is a Vault without TLS, which this test is not about: on the loopback address, for as long as the test runs.
type vaultServer struct{ address, token string }

func startVault(t *testing.T) vaultServer {
	t.Helper()
	address := freeAddress(t)
	v := vaultServer{"http://" + address, "root"}
	start(t, v.address+"/v1/sys/health", "vault", "server", "-dev", "-dev-no-store-token", "-log-level=warn",
		"-dev-root-token-id="+v.token, "-dev-listen-address="+address)
	return v
}

// freeAddress is an address on the loopback interface that nothing listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// start runs a product until the test ends, and returns when health says that it is well.
func start(t *testing.T, health, name string, args ...string) {
	t.Helper()
	var output bytes.Buffer
	cmd := exec.CommandContext(t.Context(), tool(t, name), args...)
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
		response, err := http.Get(health)
		if err != nil {
			return false
		}
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(response.Body)
		// Consul and Nomad answer before they have a leader, with an empty string.
		return err == nil && response.StatusCode == http.StatusOK && string(bytes.TrimSpace(body)) != `""`
	}, 30*time.Second, 100*time.Millisecond, "%s is ready", name)
}

func tool(t *testing.T, name string) string {
	t.Helper()
	binary, err := filepath.Abs(filepath.Join("../.tools/bin", name))
	require.NoError(t, err)
	_, err = os.Stat(binary)
	require.NoError(t, err, "run `tools/build %s`", name)
	return binary
}

// declare declares it as components know it.
func (v vaultServer) declare(ctx *pulumi.Context, trust *Trust) (*Vault, error) {
	provider, err := vault.NewProvider(ctx, "vault", &vault.ProviderArgs{
		Address: pulumi.String(v.address), Token: pulumi.String(v.token), CaCertFile: trust.File,
	})
	return &Vault{site: Site{resource: trust}, provider: provider}, err
}

// newStack is an empty stack of a program, with a backend of its own.
func newStack(t *testing.T, program pulumi.RunFunc) auto.Stack {
	t.Helper()
	home := t.TempDir()
	plugins, err := filepath.Abs("../.tools/pulumi/plugins")
	require.NoError(t, err)
	require.NoError(t, os.Symlink(plugins, filepath.Join(home, "plugins")))
	t.Setenv("PATH", filepath.Dir(tool(t, "pulumi"))+string(os.PathListSeparator)+os.Getenv("PATH"))
	stack, err := auto.UpsertStackInlineSource(t.Context(), "test", "products", program,
		auto.PulumiHome(home), auto.WorkDir(t.TempDir()), auto.SecretsProvider("passphrase"),
		auto.EnvVars(map[string]string{"PULUMI_CONFIG_PASSPHRASE": "test", "PULUMI_SKIP_UPDATE_CHECK": "true"}),
		auto.Project(workspace.Project{
			Name: tokens.PackageName("products"), Runtime: workspace.NewProjectRuntimeInfo("go", nil),
			Backend: &workspace.ProjectBackend{URL: "file://" + t.TempDir()},
		}))
	require.NoError(t, err)
	return stack
}

// changes are what an update did to resources that are not the same as before.
func changes(up auto.UpResult) map[string]int {
	changes := maps.Clone(*up.Summary.ResourceChanges)
	delete(changes, string(apitype.OpSame))
	return changes
}
