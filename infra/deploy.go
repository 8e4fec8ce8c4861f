// Package infra reads a stack's configuration and declares the platform from the components.
package infra

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"hashistack/components"
	"hashistack/internal/machine"
	"hashistack/sdks/hashistack"
)

// Deploy declares a stack. Nothing is declared before its whole configuration has been found good.
func Deploy(ctx *pulumi.Context) error {
	// A misspelled key must not pass unseen, and the SDK has no call that lists keys: read what it reads.
	raw := map[string]string{}
	if err := json.Unmarshal([]byte(os.Getenv(pulumi.EnvConfig)), &raw); err != nil {
		return fmt.Errorf("read the configuration that Pulumi passes in %s: %w", pulumi.EnvConfig, err)
	}
	cfg, err := LoadConfig(raw)
	if err := errors.Join(stackName(ctx.Stack()), err); err != nil {
		return err
	}
	return declare(ctx, cfg)
}

// stackName refuses the name of a stack that could not be a label at Hetzner, where everything is marked with it. Pulumi takes
// names of up to 100 characters, which may begin and end with any of them.
func stackName(name string) error {
	return matching(labelValue, "a stack name of 1 to 63 letters, digits, dashes, dots and underscores, the first and the last a letter or a digit",
		": make the stack anew with such a name, or rename it (`pulumi stack rename`)").test(name)
}

// platform is what has been declared so far.
type platform struct {
	ctx *pulumi.Context
	cfg *Config
	// labels mark everything in the Hetzner project, so that it can be found there.
	labels map[string]string
	// own is our own provider.
	own *hashistack.Provider
	// identity is what the stack is. All that could be replaced depends on it: so it has been found unchanged before.
	identity *hashistack.StackIdentity

	trust   *components.Trust
	network *components.Network
	pools   []*components.MachinePool
	gate    *components.Gate
	vault   *components.Vault
	consul  *components.Consul
	nomad   *components.Nomad
	// granted is all that machines need in Vault, Consul and Nomad.
	granted []pulumi.Resource
}

// declare tells the story of a platform. Each step uses what the ones before it have declared.
func declare(ctx *pulumi.Context, cfg *Config) error {
	offers, err := components.Offered(ctx)
	if err != nil {
		return err
	}
	if err := cfg.offered(offers); err != nil {
		return err
	}
	p := &platform{ctx: ctx, cfg: cfg, labels: map[string]string{"managed-by": "pulumi", "stack": ctx.Stack()}}
	for _, step := range []func() error{
		// Our own provider runs for the whole update: it also makes machines leave their clusters before they are deleted.
		p.provider,
		// Before anything is touched: this is the stack that was there.
		p.sameStack,
		// Every machine has the root certificate from its first second, so this comes before machines.
		p.rootOfTrust,
		p.privateNetwork,
		// Addresses and logins are known before there are machines.
		p.machinePools,
		// In a platform that runs, machines are replaced when all that they are granted below is there.
		p.closeGate,
		// All machines boot at once. Their services wait for what they need from each other and from the steps below.
		p.machines,
		// Vault is the first product to run: the others get their certificates, gossip keys and tokens from it.
		p.vaultServers,
		p.certificates,
		// From here on machines can log in to Vault, and Consul starts on all of them.
		p.machineLogins,
		p.consulServers,
		// From here on Vault issues Consul's tokens, so Nomad starts.
		p.nomadServers,
		// Last, tasks on Nomad may log in to Vault and Consul.
		p.workloadLogins,
		// Nor do people log in with the stack's own tokens.
		p.people,
		p.openGate,
		// The platform is up when every machine is a healthy member of its clusters. A machine that is replaced later leaves
		// them first. Machines without a vote follow when those with one are whole.
		p.memberships,
	} {
		if err := step(); err != nil {
			if p.gate != nil {
				p.gate.Abandon(err)
			}
			return err
		}
	}
	p.export()
	return nil
}

// provider declares one process of our own provider, before anything of the old state can be deleted. The default provider
// would not do: package and project have the same name, so it would take our configuration for its own, and with every change
// of it Pulumi would end the process that makes machines leave their clusters, and start another.
func (p *platform) provider() error {
	provider, err := hashistack.NewProvider(p.ctx, namespace, &hashistack.ProviderArgs{})
	if err != nil {
		return fmt.Errorf("configure our own provider: %w", err)
	}
	p.own = provider
	return nil
}

// sameStack declares what the stack is, and which of that does not change.
func (p *platform) sameStack() error {
	neighbour, err := components.Neighbour(p.ctx, namespace)
	if err != nil {
		return err
	}
	p.identity, err = hashistack.NewStackIdentity(p.ctx, namespace, &hashistack.StackIdentityArgs{
		Location: pulumi.String(p.cfg.Location),
		Region:   pulumi.String(p.cfg.Region),
		Network:  pulumi.String(p.cfg.Network.String()),
		Pools:    p.cfg.identities(),

		Neighbour: pulumi.String(neighbour),
	}, pulumi.Provider(p.own))
	if err != nil {
		return fmt.Errorf("declare what the stack is: %w", err)
	}
	return nil
}

// checked is the option of what is declared only in the stack that was there. What is declared in it waits with it.
func (p *platform) checked() pulumi.ResourceOption {
	return pulumi.DependsOn([]pulumi.Resource{p.identity})
}

func (p *platform) rootOfTrust() (err error) {
	p.trust, err = components.NewTrust(p.ctx, namespace, &components.TrustArgs{
		File: filepath.Join(".ca", p.ctx.Stack()+".pem"),
		Root: p.cfg.Generations.Root, MachineRoot: p.cfg.Generations.MachineRoot,
	}, p.checked())
	return err
}

func (p *platform) privateNetwork() (err error) {
	p.network, err = components.NewNetwork(p.ctx, namespace, components.NetworkArgs{
		Location: p.cfg.Location, Range: p.cfg.Network, Subnets: p.cfg.subnets(), Labels: p.labels,
	}, p.checked())
	return err
}

// machinePools declares the pools, in the order of the configuration.
func (p *platform) machinePools() error {
	for _, pool := range p.cfg.Pools {
		declared, err := components.NewMachinePool(p.ctx, &components.MachinePoolArgs{
			Name:       pool.Name,
			Machines:   pool.peers(),
			Roles:      pool.Roles,
			NodePool:   pool.NodePool,
			Meta:       pool.Meta,
			ServerType: pool.Type,
			Image:      p.cfg.Image,
			Location:   p.cfg.Location,
			Operators:  p.cfg.Operators,
			Open:       pool.Open,
			Labels:     p.labels,
			Network:    p.network,
			Trust:      p.trust,
			Cluster:    p.cfg.cluster(),
		}, p.checked())
		if err != nil {
			return err
		}
		p.pools = append(p.pools, declared)
	}
	return nil
}

func (p *platform) closeGate() error {
	p.gate = components.NewGate(p.ctx, &components.GateArgs{Pools: p.pools, Trust: p.trust}, pulumi.Provider(p.own))
	return nil
}

func (p *platform) machines() error {
	for _, pool := range p.pools {
		if err := pool.Boot(p.ctx, p.gate); err != nil {
			return err
		}
	}
	return nil
}

func (p *platform) openGate() error { return p.gate.Open(p.ctx, "machines", p.granted...) }

func (p *platform) vaultServers() (err error) {
	p.vault, err = components.NewVault(p.ctx, "vault", &components.VaultArgs{
		Machines: components.With(p.pools, machine.RoleVault), Via: p.cfg.Via, Trust: p.trust, Site: p.network.Site(p.cfg.Patience), AutoSeal: p.cfg.Seal != nil,
		Keys: components.VaultKeys{
			Shares: p.cfg.VaultKeys.Shares, Threshold: p.cfg.VaultKeys.Threshold, PGPKeys: p.cfg.VaultKeys.pgpKeys,
		},
	}, pulumi.Providers(p.own))
	return err
}

func (p *platform) certificates() error {
	declared, err := components.NewPKI(p.ctx, "pki", &components.PKIArgs{
		Vault: p.vault, Trust: p.trust, Datacenter: p.cfg.Location, Region: p.cfg.Region,
		Lifetime: p.cfg.Lifetimes.Certificate, Generation: p.cfg.Generations.Intermediates,
	})
	p.granted = append(p.granted, declared)
	return err
}

func (p *platform) machineLogins() error {
	declared, err := components.NewMachineLogin(p.ctx, "approle", &components.MachineLoginArgs{
		Vault: p.vault, Pools: p.pools, TTL: p.cfg.Lifetimes.Login, MaxTTL: p.cfg.Lifetimes.TokenMax,
	})
	p.granted = append(p.granted, declared)
	return err
}

func (p *platform) consulServers() (err error) {
	p.consul, err = components.NewConsul(p.ctx, "consul", &components.ConsulArgs{
		Machines: components.With(p.pools, machine.RoleConsulServer), Via: p.cfg.Via, Pools: p.pools,
		Vault: p.vault, Trust: p.trust, Site: p.network.Site(p.cfg.Patience),
		TokenTTL: p.cfg.Lifetimes.Token, TokenMaxTTL: p.cfg.Lifetimes.TokenMax,
		GossipGeneration: p.cfg.Generations.ConsulGossip, EngineGeneration: p.cfg.Generations.ConsulEngine,
	}, pulumi.Providers(p.own))
	p.granted = append(p.granted, p.consul)
	return err
}

func (p *platform) nomadServers() (err error) {
	p.nomad, err = components.NewNomad(p.ctx, "nomad", &components.NomadArgs{
		Machines: components.With(p.pools, machine.RoleNomadServer), Via: p.cfg.Via, NodePools: p.cfg.nodePools(), Region: p.cfg.Region,
		Vault: p.vault, Consul: p.consul, Trust: p.trust, Site: p.network.Site(p.cfg.Patience),
		GossipGeneration: p.cfg.Generations.NomadGossip, EngineGeneration: p.cfg.Generations.NomadEngine,
	}, pulumi.Providers(p.own))
	p.granted = append(p.granted, p.nomad)
	return err
}

func (p *platform) workloadLogins() error {
	declared, err := components.NewWorkloadIdentity(p.ctx, "workloads", &components.WorkloadIdentityArgs{
		Vault: p.vault, Consul: p.consul, Nomad: p.nomad, Trust: p.trust, Period: p.cfg.Lifetimes.Workload,
	})
	p.granted = append(p.granted, declared)
	return err
}

func (p *platform) people() error {
	declared, err := components.NewPeople(p.ctx, "people", p.vault)
	p.granted = append(p.granted, declared)
	return err
}

func (p *platform) memberships() error {
	fleet, err := components.NewFleet(p.ctx, "fleet", &components.FleetArgs{
		Pools: p.pools, Region: p.cfg.Region, Vault: p.vault, Consul: p.consul, Nomad: p.nomad, Trust: p.trust,
		Site: p.network.Site(p.cfg.Patience),
	}, pulumi.Providers(p.own))
	if err != nil {
		return err
	}
	p.gate.Follow(p.ctx, fleet.Voters...)
	return nil
}

// export publishes what a person or a pipeline needs to use the platform.
func (p *platform) export() {
	addresses := pulumi.StringMap{}
	for _, pool := range p.pools {
		for _, m := range pool.Machines {
			addresses[m.Name] = m.Public
		}
	}
	p.ctx.Export("machines", addresses)
	p.ctx.Export("caCertificate", p.trust.Bundle)
	p.ctx.Export("caFile", p.trust.File)
	p.ctx.Export("vaultAddress", p.vault.Address)
	p.ctx.Export("vaultToken", p.vault.RootToken)
	p.ctx.Export("vaultKeys", p.vault.Keys)
	p.ctx.Export("consulAddress", p.consul.Address)
	p.ctx.Export("consulToken", p.consul.Token)
	p.ctx.Export("nomadAddress", p.nomad.Address)
	p.ctx.Export("nomadToken", p.nomad.Token)
}

// cluster is what all machines have in common, without the root certificate: that becomes known during the update.
func (c *Config) cluster() machine.Cluster {
	cluster := machine.Cluster{
		Datacenter:    c.Location,
		Region:        c.Region,
		Servers:       map[machine.Role][]machine.Peer{},
		Network:       c.Network,
		BridgeNetwork: c.BridgeNetwork,
		Packages: machine.Packages{
			Consul: c.Versions.Consul, Nomad: c.Versions.Nomad,
			Vault: c.Versions.Vault, ConsulTemplate: c.Versions.ConsulTemplate,
		},
	}
	for _, role := range machine.QuorumRoles() {
		cluster.Servers[role] = c.with(role)
	}
	if c.Mirror != nil {
		cluster.Packages.Repository, cluster.Packages.Key = c.Mirror.URL, c.Mirror.key
	}
	if c.Seal != nil {
		cluster.Seal = &machine.Seal{Type: c.Seal.Type, Parameters: c.Seal.Parameters}
	}
	return cluster
}

func (c *Config) subnets() map[string]netip.Prefix {
	subnets := map[string]netip.Prefix{}
	for _, pool := range c.Pools {
		subnets[pool.Name] = pool.Subnet
	}
	return subnets
}

// identities are the pools as far as a stack is what they are.
func (c *Config) identities() hashistack.PoolMap {
	pools := hashistack.PoolMap{}
	for _, pool := range c.Pools {
		identity := hashistack.PoolArgs{Subnet: pulumi.String(pool.Subnet.String())}
		if machine.HoldQuorum(pool.Roles) {
			var roles, servers pulumi.StringArray
			for _, role := range machine.QuorumRoles() {
				if pool.has(role) {
					roles = append(roles, pulumi.String(role))
				}
			}
			for _, peer := range pool.peers() {
				servers = append(servers, pulumi.String(peer.Address.String()))
			}
			identity.Roles, identity.Servers = roles, servers
		}
		pools[pool.Name] = identity
	}
	return pools
}

// nodePools are the Nomad node pools to create. Nomad always has the pool "default".
func (c *Config) nodePools() []string {
	var names []string
	for _, pool := range c.Pools {
		if pool.NodePool != "" && pool.NodePool != "default" && !slices.Contains(names, pool.NodePool) {
			names = append(names, pool.NodePool)
		}
	}
	return names
}
