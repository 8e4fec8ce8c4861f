package components

import (
	"fmt"

	"github.com/pulumi/pulumi-nomad/sdk/v2/go/nomad"
	"github.com/pulumi/pulumi-vault/sdk/v6/go/vault"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"hashistack/components/policies"
	"hashistack/internal/names"
	"hashistack/sdks/hashistack"
)

// NomadType is the type token of Nomad.
const NomadType = typePrefix + "Nomad"

// NomadArgs describes the Nomad cluster.
type NomadArgs struct {
	Machines []Machine // with the role nomad-server
	// Via is the machine by whose API the cluster is changed. Empty: the first.
	Via       string
	NodePools []string // of the clients, besides Nomad's own
	Region    string
	Vault     *Vault
	Consul    *Consul // issues the tokens with which Nomad's agents talk to it
	Trust     *Trust
	Site      Site
	// GossipGeneration is the number of the gossip key: another one changes the key.
	GossipGeneration int
	// EngineGeneration is the number of the token that Vault's engine has: another one changes the token.
	EngineGeneration int
}

// Nomad is the Nomad cluster: its gossip key, its ACL system, its node pools, and the engine in Vault that issues its
// tokens to operators.
type Nomad struct {
	pulumi.ResourceState

	// Address is the API of one of the servers.
	Address pulumi.StringOutput
	// Token may do everything.
	Token pulumi.StringOutput
	// Ready exists once the cluster has its ACL system. Resources that need the cluster wait for it.
	Ready pulumi.Resource

	provider *nomad.Provider
	site     Site
	machines []Machine
}

// NewNomad declares the Nomad cluster.
func NewNomad(ctx *pulumi.Context, name string, args *NomadArgs, opts ...pulumi.ResourceOption) (*Nomad, error) {
	n := &Nomad{site: args.Site, machines: args.Machines, Address: through(args.Machines, args.Via).url(names.NomadPort)}
	if err := ctx.RegisterComponentResource(NomadType, name, n, opts...); err != nil {
		return nil, fmt.Errorf("register Nomad %s: %w", name, err)
	}
	secret, err := newUUID(ctx, name+"-bootstrap", 1, n)
	if err != nil {
		return nil, err
	}
	gossip, err := newGossip(ctx, &gossipArgs{
		product: "nomad", path: names.GossipNomad, generation: args.GossipGeneration,
		cluster: withToken(clusterOf(args.Machines, names.NomadPort, args.Trust.Bundle), secret),
		vault:   args.Vault, site: args.Site,
	}, n)
	if err != nil {
		return nil, err
	}
	bootstrap, err := hashistack.NewNomadBootstrap(ctx, name, &hashistack.NomadBootstrapArgs{
		Cluster:         clusterOf(args.Machines, names.NomadPort, args.Trust.Bundle),
		ExpectedVoters:  pulumi.Int(len(args.Machines)),
		BootstrapSecret: secret,
		Timeout:         args.Site.timeout(),
	}, args.Site.inside(n, after(gossip.shared, args.Consul))...)
	if err != nil {
		return nil, fmt.Errorf("bootstrap Nomad's ACL system: %w", err)
	}
	n.Token, n.Ready = bootstrap.Token, bootstrap
	if err := gossip.use(ctx, bootstrap); err != nil {
		return nil, err
	}
	n.provider, err = nomad.NewProvider(ctx, name, &nomad.ProviderArgs{
		Address:  n.Address,
		Region:   pulumi.String(args.Region),
		SecretId: n.Token,
		CaFile:   args.Trust.File,
	}, args.Site.inside(n)...)
	if err != nil {
		return nil, fmt.Errorf("configure Nomad provider: %w", err)
	}
	for _, pool := range args.NodePools {
		if _, err := nomad.NewNodePool(ctx, pool, &nomad.NodePoolArgs{Name: pulumi.String(pool)}, n.inside(n)...); err != nil {
			return nil, fmt.Errorf("create node pool %s: %w", pool, err)
		}
	}
	if err := n.mountEngine(ctx, args); err != nil {
		return nil, err
	}
	return n, ctx.RegisterResourceOutputs(n, pulumi.Map{"address": n.Address})
}

// inside are the options of a resource in this Nomad.
func (n *Nomad) inside(parent pulumi.Resource, more ...pulumi.ResourceOption) []pulumi.ResourceOption {
	return n.site.inside(parent, append(more, pulumi.Provider(n.provider))...)
}

// mountEngine declares the engine in Vault, with a management token of its own, and the operators' roles. A new generation
// of the token comes as in Consul.mountEngine.
func (n *Nomad) mountEngine(ctx *pulumi.Context, args *NomadArgs) error {
	rules, err := policies.Nomad(names.Deployer)
	if err != nil {
		return err
	}
	deployer, err := nomad.NewAclPolicy(ctx, names.Deployer, &nomad.AclPolicyArgs{
		Name:        pulumi.String(names.Deployer),
		Description: pulumi.String("registers and watches jobs in the default namespace"),
		RulesHcl:    pulumi.String(rules),
	}, n.inside(n)...)
	if err != nil {
		return fmt.Errorf("write Nomad policy deployer: %w", err)
	}
	token, err := nomad.NewAclToken(ctx, "vault", &nomad.AclTokenArgs{
		Name: pulumi.String(numbered("Vault's Nomad secret engine", args.EngineGeneration)),
		Type: pulumi.String("management"),
	}, n.inside(n, pulumi.ReplaceOnChanges([]string{"name"}))...)
	if err != nil {
		return fmt.Errorf("create the Nomad engine's token: %w", err)
	}
	engine, err := vault.NewNomadSecretBackend(ctx, names.NomadEngine, &vault.NomadSecretBackendArgs{
		Backend: pulumi.String(names.NomadEngine),
		Address: pulumi.Sprintf("https://%s:%d", names.NomadName, names.NomadPort),
		CaCert:  args.Trust.Bundle,
		Token:   token.SecretId, //nolint:staticcheck // Pulumi has no ephemeral resources; the value is a secret in the state
		Ttl:     pulumi.Int(seconds(operatorTTL)),
		MaxTtl:  pulumi.Int(seconds(operatorMaxTTL)),
	}, args.Vault.inside(n)...)
	if err != nil {
		return fmt.Errorf("mount Nomad engine: %w", err)
	}
	backend := pulumi.String(names.NomadEngine)
	for _, role := range []*vault.NomadSecretRoleArgs{
		{Backend: backend, Role: pulumi.String(names.Management), Type: pulumi.String("management")},
		{Backend: backend, Role: pulumi.String(names.Deployer), Type: pulumi.String("client"), Policies: pulumi.ToStringArray([]string{names.Deployer})},
	} {
		name := string(role.Role.(pulumi.String))
		if _, err := vault.NewNomadSecretRole(ctx, "nomad-"+name, role, args.Vault.inside(n, after(engine, deployer))...); err != nil {
			return fmt.Errorf("create role %s of the Nomad engine: %w", name, err)
		}
	}
	return nil
}
