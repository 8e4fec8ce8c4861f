// Package infra reads a stack's configuration and declares the platform from the components.
package infra

import (
	"encoding/json"
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
	// The SDK has no call that lists keys, and a misspelled one must not pass unseen.
	raw := map[string]string{}
	if err := json.Unmarshal([]byte(os.Getenv(pulumi.EnvConfig)), &raw); err != nil {
		return fmt.Errorf("read the configuration that Pulumi passes in %s: %w", pulumi.EnvConfig, err)
	}
	cfg, err := LoadConfig(raw)
	if err != nil {
		return err
	}
	return declare(ctx, cfg)
}

// declare tells the story of a platform.
func declare(ctx *pulumi.Context, cfg *Config) error {
	// What everything is labelled with in the Hetzner project, and how to find it there.
	labels := map[string]string{"managed-by": "pulumi", "stack": ctx.Stack()}

	// One process of our own provider for the whole update, declared before anything of the old state can be deleted. The
	// default one would take over our configuration, because package and project have the same name: with every change of it
	// Pulumi would end the process that makes machines leave their clusters for another.
	provider, err := hashistack.NewProvider(ctx, namespace, &hashistack.ProviderArgs{})
	if err != nil {
		return fmt.Errorf("configure our own provider: %w", err)
	}
	own := pulumi.Providers(provider)

	// The root of all trust comes first: every machine carries it from its first second.
	trust, err := components.NewTrust(ctx, namespace, &components.TrustArgs{
		File: filepath.Join(".ca", ctx.Stack()+".pem"),
		Root: cfg.Generations.Root, MachineRoot: cfg.Generations.MachineRoot,
	})
	if err != nil {
		return err
	}
	network, err := components.NewNetwork(ctx, namespace, components.NetworkArgs{
		Location: cfg.Location, Range: cfg.Network, Subnets: cfg.subnets(), Labels: labels,
	})
	if err != nil {
		return err
	}
	// All machines boot at once. Each waits by itself for what it needs from the others and from the steps below.
	pools, err := declarePools(ctx, cfg, network, trust, labels)
	if err != nil {
		return err
	}
	site := network.Site()

	// Vault is the first product to stand: the others get their certificates, gossip keys and tokens from it.
	vault, err := components.NewVault(ctx, "vault", &components.VaultArgs{
		Machines: components.With(pools, machine.RoleVault), Trust: trust, Site: site, AutoSeal: cfg.Seal != nil,
	}, own)
	if err != nil {
		return err
	}
	if _, err = components.NewPKI(ctx, "pki", &components.PKIArgs{
		Vault: vault, Trust: trust, Datacenter: cfg.Location, Region: cfg.Region,
		Lifetime: cfg.Lifetimes.Certificate, Generation: cfg.Generations.Intermediates,
	}); err != nil {
		return err
	}
	// From here on machines can log in, and Consul starts on all of them.
	if _, err = components.NewMachineLogin(ctx, "approle", &components.MachineLoginArgs{
		Vault: vault, Pools: pools, TTL: cfg.Lifetimes.Login, MaxTTL: cfg.Lifetimes.TokenMax,
	}); err != nil {
		return err
	}
	consul, err := components.NewConsul(ctx, "consul", &components.ConsulArgs{
		Machines: components.With(pools, machine.RoleConsulServer), Pools: pools, Vault: vault, Trust: trust, Site: site,
		TokenTTL: cfg.Lifetimes.Token, TokenMaxTTL: cfg.Lifetimes.TokenMax,
		GossipGeneration: cfg.Generations.ConsulGossip, EngineGeneration: cfg.Generations.ConsulEngine,
	}, own)
	if err != nil {
		return err
	}
	// Consul's tokens come from Vault now, so Nomad starts.
	nomad, err := components.NewNomad(ctx, "nomad", &components.NomadArgs{
		Machines: components.With(pools, machine.RoleNomadServer), NodePools: cfg.nodePools(), Region: cfg.Region,
		Vault: vault, Consul: consul, Trust: trust, Site: site,
		GossipGeneration: cfg.Generations.NomadGossip, EngineGeneration: cfg.Generations.NomadEngine,
	}, own)
	if err != nil {
		return err
	}
	// At last what runs on Nomad may log in to Vault and Consul by itself.
	if _, err = components.NewWorkloadIdentity(ctx, "workloads", &components.WorkloadIdentityArgs{
		Vault: vault, Consul: consul, Nomad: nomad, Trust: trust, Period: cfg.Lifetimes.Workload,
	}); err != nil {
		return err
	}
	// It stands when every machine is a healthy member of its clusters. From then on machines that change leave first.
	if _, err = components.NewFleet(ctx, "fleet", &components.FleetArgs{
		Pools: pools, Region: cfg.Region, Vault: vault, Consul: consul, Nomad: nomad, Trust: trust, Site: site, Patience: cfg.Patience,
	}, own); err != nil {
		return err
	}
	export(ctx, pools, trust, vault, consul, nomad)
	return nil
}

// export publishes what a person or a pipeline needs to use the platform.
func export(
	ctx *pulumi.Context, pools []*components.MachinePool, trust *components.Trust,
	vault *components.Vault, consul *components.Consul, nomad *components.Nomad,
) {
	addresses := pulumi.StringMap{}
	for _, pool := range pools {
		for _, m := range pool.Machines {
			addresses[m.Name] = m.Public
		}
	}
	ctx.Export("machines", addresses)
	ctx.Export("caCertificate", trust.Bundle)
	ctx.Export("caFile", trust.File)
	ctx.Export("vaultAddress", vault.Address)
	ctx.Export("vaultToken", vault.RootToken)
	ctx.Export("consulAddress", consul.Address)
	ctx.Export("consulToken", consul.Token)
	ctx.Export("nomadAddress", nomad.Address)
	ctx.Export("nomadToken", nomad.Token)
}

// declarePools declares the pools, in the order of the configuration.
func declarePools(
	ctx *pulumi.Context, cfg *Config, network *components.Network, trust *components.Trust, labels map[string]string,
) ([]*components.MachinePool, error) {
	var pools []*components.MachinePool
	for _, pool := range cfg.Pools {
		declared, err := components.NewMachinePool(ctx, &components.MachinePoolArgs{
			Name:       pool.Name,
			Machines:   pool.peers(),
			Roles:      pool.Roles,
			NodePool:   pool.NodePool,
			Meta:       pool.Meta,
			ServerType: pool.Type,
			Image:      cfg.Image,
			Location:   cfg.Location,
			Operators:  cfg.Operators,
			Open:       pool.Open,
			Labels:     labels,
			Network:    network,
			Trust:      trust,
			Cluster:    cfg.cluster(),
		})
		if err != nil {
			return nil, err
		}
		pools = append(pools, declared)
	}
	return pools, nil
}

// cluster is what all machines have in common, but for the root certificate, which is not known yet.
func (c *Config) cluster() machine.Cluster {
	cluster := machine.Cluster{
		Datacenter:    c.Location,
		Region:        c.Region,
		Servers:       map[machine.Role][]machine.Peer{},
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

// nodePools are the Nomad node pools that have to be created: Nomad has the pool "default" itself.
func (c *Config) nodePools() []string {
	var names []string
	for _, pool := range c.Pools {
		if pool.NodePool != "" && pool.NodePool != "default" && !slices.Contains(names, pool.NodePool) {
			names = append(names, pool.NodePool)
		}
	}
	return names
}
