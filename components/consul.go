package components

import (
	"fmt"
	"time"

	"github.com/pulumi/pulumi-consul/sdk/v3/go/consul"
	vaultconsul "github.com/pulumi/pulumi-vault/sdk/v6/go/vault/consul"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"hashistack/components/policies"
	"hashistack/internal/machine"
	"hashistack/internal/names"
	"hashistack/sdks/hashistack"
)

// ConsulType is the type token of Consul.
const ConsulType = typePrefix + "Consul"

// ConsulArgs describes the Consul cluster.
type ConsulArgs struct {
	Machines []Machine // with the role consul-server
	// Via is the machine by whose API the cluster is changed. Empty: the first.
	Via   string
	Pools []*MachinePool
	Vault *Vault
	Trust *Trust
	Site  Site
	// TokenTTL is how long a machine's token lives without renewal, TokenMaxTTL how long it can be renewed.
	// consul-template renews them all the time and asks for new ones before the end.
	TokenTTL, TokenMaxTTL time.Duration
	// GossipGeneration is the number of the gossip key: another one changes the key.
	GossipGeneration int
	// EngineGeneration is the number of the token that Vault's engine has: another one changes the token.
	EngineGeneration int
}

// Consul is the Consul cluster: its gossip key, its ACL system, and the engine in Vault that issues its tokens to
// machines and operators. The agents form the cluster by themselves once they have a gossip key and a certificate.
type Consul struct {
	pulumi.ResourceState

	// Address is the API of one of the servers.
	Address pulumi.StringOutput
	// Token may do everything.
	Token pulumi.StringOutput

	provider *consul.Provider
	engine   *vaultconsul.SecretBackend
	site     Site
	machines []Machine
}

// NewConsul declares the Consul cluster.
func NewConsul(ctx *pulumi.Context, name string, args *ConsulArgs, opts ...pulumi.ResourceOption) (*Consul, error) {
	c := &Consul{site: args.Site, machines: args.Machines, Address: through(args.Machines, args.Via).url(names.ConsulPort)}
	if err := ctx.RegisterComponentResource(ConsulType, name, c, opts...); err != nil {
		return nil, fmt.Errorf("register Consul %s: %w", name, err)
	}
	secret, err := newUUID(ctx, name+"-bootstrap", 1, c)
	if err != nil {
		return nil, err
	}
	gossip, err := newGossip(ctx, &gossipArgs{
		product: "consul", path: names.GossipConsul, generation: args.GossipGeneration,
		cluster: withToken(clusterOf(args.Machines, names.ConsulPort, args.Trust.Bundle), secret),
		vault:   args.Vault, site: args.Site,
	}, c)
	if err != nil {
		return nil, err
	}
	bootstrap, err := hashistack.NewConsulBootstrap(ctx, name, &hashistack.ConsulBootstrapArgs{
		Cluster:         clusterOf(args.Machines, names.ConsulPort, args.Trust.Bundle),
		ExpectedVoters:  pulumi.Int(len(args.Machines)),
		BootstrapSecret: secret,
		Timeout:         args.Site.timeout(),
	}, args.Site.inside(c, after(gossip.shared))...)
	if err != nil {
		return nil, fmt.Errorf("bootstrap Consul's ACL system: %w", err)
	}
	c.Token = bootstrap.Token
	if err := gossip.use(ctx, bootstrap); err != nil {
		return nil, err
	}
	c.provider, err = consul.NewProvider(ctx, name, &consul.ProviderArgs{
		Address: c.Address,
		Scheme:  pulumi.String("https"),
		Token:   c.Token,
		CaFile:  args.Trust.File,
	}, args.Site.inside(c)...)
	if err != nil {
		return nil, fmt.Errorf("configure Consul provider: %w", err)
	}
	if err := c.mountEngine(ctx, args); err != nil {
		return nil, err
	}
	if err := c.machineRoles(ctx, args); err != nil {
		return nil, err
	}
	return c, ctx.RegisterResourceOutputs(c, pulumi.Map{"address": c.Address})
}

// inside are the options of a resource in this Consul.
func (c *Consul) inside(parent pulumi.Resource, more ...pulumi.ResourceOption) []pulumi.ResourceOption {
	return c.site.inside(parent, append(more, pulumi.Provider(c.provider))...)
}

// mountEngine declares the engine in Vault, with a management token of its own, and the operators' roles.
//
// A new generation of the token is a new token: Pulumi makes it, gives it to the engine, and deletes the old one last. What the
// engine has issued is not affected: Consul's tokens do not depend on each other, and the engine revokes them with the token that
// it has then.
func (c *Consul) mountEngine(ctx *pulumi.Context, args *ConsulArgs) error {
	const name = names.ConsulEngine + "-engine"
	secret, err := newUUID(ctx, name, args.EngineGeneration, c)
	if err != nil {
		return err
	}
	token, err := hashistack.NewConsulToken(ctx, name, &hashistack.ConsulTokenArgs{
		Cluster:     withToken(clusterOf(args.Machines, names.ConsulPort, args.Trust.Bundle), c.Token),
		Description: pulumi.String(numbered("Vault's Consul secret engine", args.EngineGeneration)),
		Policies:    pulumi.ToStringArray([]string{"global-management"}),
		SecretId:    secret,
		Timeout:     args.Site.timeout(),
	}, c.site.inside(c)...)
	if err != nil {
		return fmt.Errorf("create the Consul engine's token: %w", err)
	}
	c.engine, err = vaultconsul.NewSecretBackend(ctx, names.ConsulEngine, &vaultconsul.SecretBackendArgs{
		Path: pulumi.String(names.ConsulEngine),
		// Every Vault talks to the Consul agent on its own machine.
		Address:                pulumi.Sprintf("localhost:%d", names.ConsulPort),
		Scheme:                 pulumi.String("https"),
		CaCert:                 args.Trust.Bundle,
		Token:                  token.Token,
		DefaultLeaseTtlSeconds: pulumi.Int(seconds(operatorTTL)),
		MaxLeaseTtlSeconds:     pulumi.Int(seconds(max(args.TokenMaxTTL, operatorMaxTTL))),
	}, args.Vault.inside(c)...)
	if err != nil {
		return fmt.Errorf("mount Consul engine: %w", err)
	}
	rules, err := policies.Consul(names.Deployer)
	if err != nil {
		return err
	}
	deployer, err := c.policy(ctx, names.Deployer, rules)
	if err != nil {
		return err
	}
	if err := c.role(ctx, args.Vault, names.Management, "global-management", operatorTTL, operatorMaxTTL); err != nil {
		return err
	}
	return c.role(ctx, args.Vault, names.Deployer, names.Deployer, operatorTTL, operatorMaxTTL, deployer)
}

// machineRoles declares what machines may ask the engine for: the tokens of their parts.
func (c *Consul) machineRoles(ctx *pulumi.Context, args *ConsulArgs) error {
	declared := map[string]bool{} // most are the same for every machine
	for _, pool := range args.Pools {
		for _, m := range pool.Machines {
			tokens, err := pool.tokens(m)
			if err != nil {
				return err
			}
			for _, token := range tokens {
				if declared[token.Role] {
					continue
				}
				declared[token.Role] = true
				if err := c.machineRole(ctx, args, token); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (c *Consul) machineRole(ctx *pulumi.Context, args *ConsulArgs, token machine.TokenRole) error {
	policy, err := c.policy(ctx, token.Role, token.Policy)
	if err != nil {
		return err
	}
	return c.role(ctx, args.Vault, token.Role, token.Role, args.TokenTTL, args.TokenMaxTTL, policy)
}

// policy declares an ACL policy.
func (c *Consul) policy(ctx *pulumi.Context, name, rules string) (*consul.AclPolicy, error) {
	policy, err := consul.NewAclPolicy(ctx, name, &consul.AclPolicyArgs{
		Name:  pulumi.String(name),
		Rules: pulumi.String(rules),
	}, c.inside(c)...)
	if err != nil {
		return nil, fmt.Errorf("write Consul policy %s: %w", name, err)
	}
	return policy, nil
}

// role declares a role of the engine. Who may read its path gets a token with the policy: one of Consul's own, or one of
// the resources to wait for.
func (c *Consul) role(ctx *pulumi.Context, v *Vault, name, policy string, ttl, maxTTL time.Duration, wait ...pulumi.Resource) error {
	_, err := vaultconsul.NewSecretBackendRole(ctx, "consul-"+name, &vaultconsul.SecretBackendRoleArgs{
		Backend:        pulumi.String(names.ConsulEngine),
		Name:           pulumi.String(name),
		ConsulPolicies: pulumi.StringArray{pulumi.String(policy)},
		Ttl:            pulumi.Int(seconds(ttl)),
		MaxTtl:         pulumi.Int(seconds(maxTTL)),
	}, v.inside(c, after(append(wait, c.engine)...))...)
	if err != nil {
		return fmt.Errorf("create role %s of the Consul engine: %w", name, err)
	}
	return nil
}
