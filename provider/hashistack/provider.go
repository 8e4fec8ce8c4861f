// Package hashistack assembles our Pulumi provider from the packages that each do one thing: hold what a stack is, initialise and
// unseal Vault, bootstrap ACL systems, change gossip keys, make tokens whose secrets are known beforehand, introduce new machines to
// Nomad, have machines join and leave their clusters.
package hashistack

import (
	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"

	"hashistack/provider/acl"
	"hashistack/provider/gossip"
	"hashistack/provider/identity"
	"hashistack/provider/introduction"
	"hashistack/provider/membership"
	"hashistack/provider/token"
	"hashistack/provider/vault"
)

const (
	// Name is the Pulumi package: the first part of every resource token.
	Name = "hashistack"
	// Version is what the provider answers Pulumi with. It is run from source, so there is only ever this one.
	Version = "0.0.0"
)

// Provider is the whole provider, ready to be run or to be tested in memory.
func Provider() (p.Provider, error) {
	// infer takes the module of a type token from the Go package. In Pulumi there is one module, whatever the packages are.
	modules := map[tokens.ModuleName]tokens.ModuleName{}
	for _, pkg := range []tokens.ModuleName{"vault", "acl", "gossip", "identity", "introduction", "membership", "token", "cluster"} {
		modules[pkg] = "index"
	}
	return infer.NewProviderBuilder().
		WithDisplayName(Name).
		WithDescription("What no official provider does for a Nomad platform: hold what a stack is, initialise and unseal Vault, bootstrap the ACL systems of "+
			"Consul and Nomad, change their gossip keys, make tokens of Consul with secrets chosen beforehand, introduce new machines to Nomad, and have machines join and leave their clusters.").
		// No containers of resources: nobody keeps these in output lists, and they are half of the SDK.
		WithLanguageMap(map[string]any{"go": map[string]any{"respectSchemaVersion": true}}).
		WithGoImportPath("hashistack/sdks/hashistack").
		WithModuleMap(modules).
		WithResources(
			vault.InitResource(),
			vault.UnsealResource(),
			acl.ConsulResource(),
			acl.NomadResource(),
			gossip.InstallResource(),
			gossip.UseResource(),
			identity.Resource(),
			introduction.Resource(),
			token.Resource(),
			membership.Resource(),
		).
		WithFunctions(acl.RunningFunction()).
		Build()
}
