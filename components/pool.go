package components

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/pulumi/pulumi-hcloud/sdk/go/hcloud"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"hashistack/internal/machine"
	"hashistack/internal/machine/parts"
)

// MachinePoolType is the type token of MachinePool.
const MachinePoolType = typePrefix + "MachinePool"

// MachinePoolArgs describes a group of machines that differ in nothing but name and address.
type MachinePoolArgs struct {
	Name       string
	Machines   []machine.Peer // name and private address of each
	Roles      []machine.Role
	NodePool   string
	Meta       map[string]string
	ServerType string
	Image      string
	Location   string
	Operators  []netip.Prefix // who may reach the APIs on the public addresses
	Open       []string       // ports that anyone may reach
	Labels     map[string]string

	Network *Network
	Trust   *Trust
	Cluster machine.Cluster // what all machines of the stack have in common; its CA is filled in from Trust
}

// spread is how many servers Hetzner spreads in a placement group (https://docs.hetzner.com/cloud/placement-groups/overview).
const spread = 10

// MachinePool is a pool's placement groups, firewall, public addresses and machines.
//
// Public addresses are resources of their own and private ones are fixed, so that a machine can be replaced without
// any certificate, peer list or provider noticing. All machines are created at once: what they need of each other they
// find by themselves. Boot creates them; all else about them is known before.
type MachinePool struct {
	pulumi.ResourceState

	Name     string
	Roles    []machine.Role
	Machines []PoolMachine

	args     *MachinePoolArgs
	groups   []*hcloud.PlacementGroup // of ten machines each, by their numbers
	firewall *hcloud.Firewall
}

// PoolMachine is a machine with its way into Vault.
type PoolMachine struct {
	Machine
	Private  netip.Addr
	SecretID pulumi.StringOutput // chosen beforehand, so that the machine need not wait for Vault to exist
	// Digests say what the machine is made of, see machine.Digests. Known when it is booted.
	Digests pulumi.StringMapOutput

	address *hcloud.PrimaryIp
}

// Has tells whether the pool's machines have a role.
func (p *MachinePool) Has(role machine.Role) bool { return slices.Contains(p.Roles, role) }

// With are the machines of all pools that have a role.
func With(pools []*MachinePool, role machine.Role) []Machine {
	var machines []Machine
	for _, pool := range pools {
		if !pool.Has(role) {
			continue
		}
		for _, m := range pool.Machines {
			machines = append(machines, m.Machine)
		}
	}
	return machines
}

// NewMachinePool declares a pool with the addresses and logins of its machines.
func NewMachinePool(ctx *pulumi.Context, args *MachinePoolArgs, opts ...pulumi.ResourceOption) (*MachinePool, error) {
	p := &MachinePool{Name: args.Name, Roles: args.Roles, args: args}
	if err := ctx.RegisterComponentResource(MachinePoolType, args.Name, p, opts...); err != nil {
		return nil, fmt.Errorf("register pool %s: %w", args.Name, err)
	}
	for len(p.groups)*spread < len(args.Machines) {
		if err := p.newGroup(ctx); err != nil {
			return nil, err
		}
	}
	var err error
	if p.firewall, err = newFirewall(ctx, args, p); err != nil {
		return nil, fmt.Errorf("create firewall of pool %s: %w", args.Name, err)
	}
	addresses := pulumi.StringMap{}
	for _, peer := range args.Machines {
		m, err := p.newMachine(ctx, peer)
		if err != nil {
			return nil, err
		}
		p.Machines = append(p.Machines, m)
		addresses[m.Name] = m.Public
	}
	return p, ctx.RegisterResourceOutputs(p, pulumi.Map{"addresses": addresses})
}

// newGroup declares the placement group of the next ten machines. Spread: no two of them on the same host, so that one broken host
// costs a quorum one voter. A server has to be off to change its group, so a machine's number alone says which is its own.
func (p *MachinePool) newGroup(ctx *pulumi.Context) error {
	name := numbered(p.Name, len(p.groups)+1)
	group, err := hcloud.NewPlacementGroup(ctx, name, &hcloud.PlacementGroupArgs{
		Name:   pulumi.String(name),
		Type:   pulumi.String("spread"),
		Labels: pulumi.ToStringMap(p.args.Labels),
	}, pulumi.Parent(p), pulumi.DeleteBeforeReplace(true))
	if err != nil {
		return fmt.Errorf("create placement group %s: %w", name, err)
	}
	p.groups = append(p.groups, group)
	return nil
}

// newMachine declares what stays when the machine is replaced.
func (p *MachinePool) newMachine(ctx *pulumi.Context, peer machine.Peer) (PoolMachine, error) {
	m := PoolMachine{Machine: Machine{Name: peer.Name}, Private: peer.Address}
	var err error
	m.address, err = hcloud.NewPrimaryIp(ctx, peer.Name, &hcloud.PrimaryIpArgs{
		Name:         pulumi.String(peer.Name),
		Type:         pulumi.String("ipv4"),
		Location:     pulumi.String(p.args.Location),
		AssigneeType: pulumi.String("server"),
		AutoDelete:   pulumi.Bool(false), // it outlives its machine
		Labels:       pulumi.ToStringMap(p.args.Labels),
	}, pulumi.Parent(p), pulumi.DeleteBeforeReplace(true))
	if err != nil {
		return m, fmt.Errorf("create primary IP of %s: %w", peer.Name, err)
	}
	m.Public = m.address.IpAddress
	m.SecretID, err = newUUID(ctx, peer.Name+"-login", 1, p)
	return m, err
}

// Boot declares the machines, behind the gate.
func (p *MachinePool) Boot(ctx *pulumi.Context, gate *Gate) error {
	for i, m := range p.Machines {
		userData, digests, err := p.userData(ctx, m, gate)
		if err != nil {
			return err
		}
		server, err := p.boot(ctx, m, p.groups[i/spread], userData)
		if err != nil {
			return err
		}
		p.Machines[i].Server, p.Machines[i].Digests = server, digests
	}
	return nil
}

func (p *MachinePool) boot(ctx *pulumi.Context, m PoolMachine, group *hcloud.PlacementGroup, userData pulumi.StringInput) (*hcloud.Server, error) {
	args := p.args
	server, err := hcloud.NewServer(ctx, m.Name, &hcloud.ServerArgs{
		Name:             pulumi.String(m.Name),
		ServerType:       pulumi.String(args.ServerType),
		Image:            pulumi.String(args.Image),
		Location:         pulumi.String(args.Location),
		PlacementGroupId: numeric(group.ID()),
		FirewallIds:      pulumi.IntArray{numeric(p.firewall.ID())},
		PublicNets: hcloud.ServerPublicNetArray{hcloud.ServerPublicNetArgs{
			Ipv4:        numeric(m.address.ID()),
			Ipv4Enabled: pulumi.Bool(true),
			Ipv6Enabled: pulumi.Bool(false),
		}},
		Networks: hcloud.ServerNetworkTypeArray{hcloud.ServerNetworkTypeArgs{
			NetworkId: numeric(args.Network.network.ID()),
			Ip:        pulumi.String(m.Private.String()),
			AliasIps:  pulumi.StringArray{}, // unset, the provider detaches and attaches the network on every update
		}},
		Labels:   pulumi.ToStringMap(args.Labels),
		UserData: userData,
	}, pulumi.Parent(p), pulumi.DeleteBeforeReplace(true),
		// The provider would power each server off and change it in place, all of them at once. A machine that is replaced has its
		// turn, and leaves its clusters before.
		pulumi.ReplaceOnChanges([]string{"serverType", "placementGroupId"}),
		after(args.Network.subnets[args.Name]), // the address is of the subnet
		pulumi.Timeouts(&pulumi.CustomTimeouts{Create: "10m"}))
	if err != nil {
		return nil, fmt.Errorf("create server %s: %w", m.Name, err)
	}
	return server, nil
}

// described is the machine as its parts see it, without what only its user-data has.
func (p *MachinePool) described(m PoolMachine) machine.Machine {
	return machine.Machine{
		Name: m.Name, Pool: p.Name, Roles: p.Roles, NodePool: p.args.NodePool, Meta: p.args.Meta, Private: m.Private,
	}
}

// reached is the machine with its public address.
func (p *MachinePool) reached(m PoolMachine, public string) (machine.Machine, error) {
	described := p.described(m)
	var err error
	if described.Public, err = netip.ParseAddr(public); err != nil {
		return described, fmt.Errorf("public address of %s: %w", m.Name, err)
	}
	return described, nil
}

// vaultPolicy is what a machine may do in Vault.
func (p *MachinePool) vaultPolicy(m PoolMachine) pulumi.StringOutput {
	return m.Public.ApplyT(func(public string) (string, error) {
		reached, err := p.reached(m, public)
		if err != nil {
			return "", err
		}
		return parts.Of(p.Roles).VaultPolicy(p.args.Cluster, reached)
	}).(pulumi.StringOutput)
}

// tokens are the Consul tokens of a machine: those of all parts, whether or not the machine has them, so that a pool that gets a
// part later needs no role first.
func (p *MachinePool) tokens(m PoolMachine) ([]machine.TokenRole, error) {
	return parts.All().Tokens(p.args.Cluster, p.described(m))
}

// userData makes a machine's user-data and what it is made of, which are known when the gate is open. User-data is a secret because
// it holds the machine's login.
func (p *MachinePool) userData(ctx *pulumi.Context, m PoolMachine, gate *Gate) (userData pulumi.StringOutput, digests pulumi.StringMapOutput, err error) {
	certificate, key := pulumi.String("").ToStringOutput(), pulumi.String("").ToStringOutput()
	made, trust := parts.Of(p.Roles), p.args.Trust
	if dnsNames := made.FirstCertificate(); dnsNames != nil {
		addresses := pulumi.StringArray{pulumi.String(m.Private.String()), m.Public}
		if certificate, key, err = trust.bootstrapListener(ctx, m.Name, dnsNames, addresses, p); err != nil {
			return userData, digests, err
		}
	}
	type rendered struct {
		userData string
		digests  map[string]string
	}
	both := pulumi.All(trust.machine.certificate.CertPem, m.Public, m.SecretID, certificate, key, gate.before(p)).ApplyT(func(known []any) (r rendered, err error) {
		booted, err := p.reached(m, known[1].(string))
		if err != nil {
			return r, err
		}
		booted.RoleID, booted.SecretID = m.Name, known[2].(string)
		booted.BootstrapCertificate, booted.BootstrapKey = known[3].(string), known[4].(string)
		cluster := p.args.Cluster
		cluster.CA = known[0].(string)
		r.userData, r.digests, err = made.UserData(cluster, booted)
		return r, err
	})
	userData = pulumi.ToSecret(both.ApplyT(func(r any) string { return r.(rendered).userData })).(pulumi.StringOutput)
	// Of digests nobody learns a secret; a reviewer could not read them if they were one.
	digests = pulumi.Unsecret(both.ApplyT(func(r any) map[string]string { return r.(rendered).digests })).(pulumi.StringMapOutput)
	return userData, digests, nil
}
