// Package bootstrap has the acts that happen exactly once in the life of a platform and yield secrets, and the rotation of
// gossip keys, as Pulumi resources: no official provider has them. Each waits, bounded and with its progress shown, until the product
// answers; each can be interrupted and run again; each returns its secrets as secrets.
package bootstrap

import (
	"fmt"
	"os"
	"strings"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
)

const (
	// Name is the Pulumi package: the first part of every resource token.
	Name = "hashistack"
	// Version is what the provider answers Pulumi with. It is run from source, so there is only ever this one.
	Version = "0.0.0"
)

// Provider is the whole provider, ready to be run or to be tested in memory.
func Provider() (p.Provider, error) {
	return infer.NewProviderBuilder().
		WithDisplayName("hashistack").
		WithDescription("The once-only acts of a Nomad platform: initialise and unseal Vault, bootstrap the ACLs of Consul and Nomad; and the rotation of their gossip keys.").
		// No containers of resources: nobody keeps these in output lists, and they are half of the SDK.
		WithLanguageMap(map[string]any{"go": map[string]any{"respectSchemaVersion": true}}).
		WithGoImportPath("hashistack/sdks/hashistack").
		WithModuleMap(map[tokens.ModuleName]tokens.ModuleName{"bootstrap": "index"}).
		WithResources(
			infer.Resource(VaultInit{}),
			infer.Resource(VaultUnseal{}),
			infer.Resource(ConsulBootstrap{}),
			infer.Resource(NomadBootstrap{}),
			infer.Resource(GossipInstall{}),
			infer.Resource(GossipUse{}),
			infer.Resource(Membership{newFleet()}),
		).
		Build()
}

// ForgetShell drops the variables of the three CLIs from this process. The official API clients read them by
// themselves, and a shell that points at one platform must not reach into the update of another: an old
// VAULT_CACERT fails a client, an old CONSUL_HTTP_TOKEN rides on its requests.
func ForgetShell() error {
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		for _, product := range []string{"VAULT_", "CONSUL_", "NOMAD_"} {
			if !strings.HasPrefix(name, product) {
				continue
			}
			if err := os.Unsetenv(name); err != nil {
				return fmt.Errorf("drop %s from the provider's environment: %w", name, err)
			}
		}
	}
	return nil
}
