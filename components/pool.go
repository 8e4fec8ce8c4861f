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

// MachinePool is a pool's placement group, firewall, public addresses and machines.
//
// Public addresses are resources of their own and private ones are fixed, so that a machine can be replaced without
// any certificate, peer list or provider noticing. All machines are created at once: what they need of each other they
// find by themselves.
type MachinePool struct {
	pulumi.ResourceState

	Name     string
	Roles    []machine.Role
	Machines []PoolMachine
}

// PoolMachine is a machine with its way into Vault.
type PoolMachine struct {
	Machine
	Private  netip.Addr
	SecretID pulumi.StringOutput // chosen beforehand, so that the machine need not wait for Vault to exist
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

// NewMachinePool declares a pool of machines.
func NewMachinePool(ctx *pulumi.Context, args *MachinePoolArgs, opts ...pulumi.ResourceOption) (*MachinePool, error) {
	p := &MachinePool{Name: args.Name, Roles: args.Roles}
	if err := ctx.RegisterComponentResource(MachinePoolType, args.Name, p, opts...); err != nil {
		return nil, fmt.Errorf("register pool %s: %w", args.Name, err)
	}
	// Spread: no two machines of the pool on the same host, so that one broken host costs a quorum one voter.
	group, err := hcloud.NewPlacementGroup(ctx, args.Name, &hcloud.PlacementGroupArgs{
		Name:   pulumi.String(args.Name),
		Type:   pulumi.String("spread"),
		Labels: pulumi.ToStringMap(args.Labels),
	}, pulumi.Parent(p), pulumi.DeleteBeforeReplace(true))
	if err != nil {
		return nil, fmt.Errorf("create placement group of pool %s: %w", args.Name, err)
	}
	firewall, err := newFirewall(ctx, args, p)
	if err != nil {
		return nil, fmt.Errorf("create firewall of pool %s: %w", args.Name, err)
	}
	addresses := pulumi.StringMap{}
	for _, peer := range args.Machines {
		m, err := newMachine(ctx, args, peer, group, firewall, p)
		if err != nil {
			return nil, err
		}
		p.Machines = append(p.Machines, m)
		addresses[m.Name] = m.Public
	}
	return p, ctx.RegisterResourceOutputs(p, pulumi.Map{"addresses": addresses})
}

func newMachine(
	ctx *pulumi.Context, args *MachinePoolArgs, peer machine.Peer,
	group *hcloud.PlacementGroup, firewall *hcloud.Firewall, parent pulumi.Resource,
) (PoolMachine, error) {
	m := PoolMachine{Machine: Machine{Name: peer.Name}, Private: peer.Address}
	address, err := hcloud.NewPrimaryIp(ctx, peer.Name, &hcloud.PrimaryIpArgs{
		Name:         pulumi.String(peer.Name),
		Type:         pulumi.String("ipv4"),
		Location:     pulumi.String(args.Location),
		AssigneeType: pulumi.String("server"),
		AutoDelete:   pulumi.Bool(false), // it outlives its machine
		Labels:       pulumi.ToStringMap(args.Labels),
	}, pulumi.Parent(parent), pulumi.DeleteBeforeReplace(true))
	if err != nil {
		return m, fmt.Errorf("create primary IP of %s: %w", peer.Name, err)
	}
	m.Public = address.IpAddress
	if m.SecretID, err = newUUID(ctx, peer.Name+"-login", parent); err != nil {
		return m, err
	}
	userData, err := renderUserData(ctx, args, peer, m, parent)
	if err != nil {
		return m, err
	}
	server, err := hcloud.NewServer(ctx, peer.Name, &hcloud.ServerArgs{
		Name:             pulumi.String(peer.Name),
		ServerType:       pulumi.String(args.ServerType),
		Image:            pulumi.String(args.Image),
		Location:         pulumi.String(args.Location),
		PlacementGroupId: numeric(group.ID()),
		FirewallIds:      pulumi.IntArray{numeric(firewall.ID())},
		PublicNets: hcloud.ServerPublicNetArray{hcloud.ServerPublicNetArgs{
			Ipv4:        numeric(address.ID()),
			Ipv4Enabled: pulumi.Bool(true),
			Ipv6Enabled: pulumi.Bool(false),
		}},
		Networks: hcloud.ServerNetworkTypeArray{hcloud.ServerNetworkTypeArgs{
			NetworkId: numeric(args.Network.network.ID()),
			Ip:        pulumi.String(peer.Address.String()),
			AliasIps:  pulumi.StringArray{}, // unset, the provider detaches and attaches the network on every update
		}},
		Labels:   pulumi.ToStringMap(args.Labels),
		UserData: userData,
	}, pulumi.Parent(parent), pulumi.DeleteBeforeReplace(true),
		after(args.Network.subnets[args.Name]), // the address is of the subnet
		pulumi.Timeouts(&pulumi.CustomTimeouts{Create: "10m"}))
	if err != nil {
		return m, fmt.Errorf("create server %s: %w", peer.Name, err)
	}
	m.Server = server
	return m, nil
}

// renderUserData makes a machine's user-data. It is a secret because it holds the machine's login.
func renderUserData(
	ctx *pulumi.Context, args *MachinePoolArgs, peer machine.Peer, m PoolMachine, parent pulumi.Resource,
) (pulumi.StringOutput, error) {
	certificate, key := pulumi.String("").ToStringOutput(), pulumi.String("").ToStringOutput()
	made := parts.Of(args.Roles)
	if dnsNames := made.FirstCertificate(); dnsNames != nil {
		var err error
		addresses := pulumi.StringArray{pulumi.String(peer.Address.String()), m.Public}
		if certificate, key, err = args.Trust.bootstrapListener(ctx, peer.Name, dnsNames, addresses, parent); err != nil {
			return pulumi.StringOutput{}, err
		}
	}
	rendered := pulumi.All(args.Trust.machine.certificate.CertPem, m.Public, m.SecretID, certificate, key).ApplyT(func(known []any) (string, error) {
		public, err := netip.ParseAddr(known[1].(string))
		if err != nil {
			return "", fmt.Errorf("public address of %s: %w", peer.Name, err)
		}
		cluster := args.Cluster
		cluster.CA = known[0].(string)
		return made.UserData(cluster, machine.Machine{
			Name:                 peer.Name,
			Pool:                 args.Name,
			Roles:                args.Roles,
			NodePool:             args.NodePool,
			Meta:                 args.Meta,
			Private:              peer.Address,
			Public:               public,
			RoleID:               args.Name,
			SecretID:             known[2].(string),
			BootstrapCertificate: known[3].(string),
			BootstrapKey:         known[4].(string),
		})
	}).(pulumi.StringOutput)
	return pulumi.ToSecret(rendered).(pulumi.StringOutput), nil
}
