package components

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/pulumi/pulumi-hcloud/sdk/go/hcloud"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// NetworkType is the type token of Network.
const NetworkType = typePrefix + "Network"

// NetworkArgs describes the private network of a stack.
type NetworkArgs struct {
	Location string                  // Hetzner location, for example "fsn1"
	Range    netip.Prefix            // of the whole network
	Subnets  map[string]netip.Prefix // by pool
	Labels   map[string]string
}

// Network is the private network over which all machines talk to each other, with a subnet for each pool of machines.
// Hetzner's networks are IPv4 and routed, and its firewalls do not apply to them: what crosses it is protected by
// TLS and gossip encryption alone.
type Network struct {
	pulumi.ResourceState

	network *hcloud.Network
	subnets map[string]*hcloud.NetworkSubnet
}

// NewNetwork declares a network.
func NewNetwork(ctx *pulumi.Context, name string, args NetworkArgs, opts ...pulumi.ResourceOption) (*Network, error) {
	n := &Network{subnets: map[string]*hcloud.NetworkSubnet{}}
	if err := ctx.RegisterComponentResource(NetworkType, name, n, opts...); err != nil {
		return nil, fmt.Errorf("register network %s: %w", name, err)
	}
	// A network belongs to a zone, a machine to a location inside of one; Hetzner knows which.
	location, err := hcloud.GetLocation(ctx, &hcloud.GetLocationArgs{Name: &args.Location}, pulumi.Parent(n))
	if err != nil {
		return nil, fmt.Errorf("look up location %q: %w", args.Location, err)
	}
	n.network, err = hcloud.NewNetwork(ctx, name, &hcloud.NetworkArgs{
		Name:    pulumi.String(name),
		IpRange: pulumi.String(args.Range.String()),
		Labels:  pulumi.ToStringMap(args.Labels),
	}, pulumi.Parent(n), pulumi.DeleteBeforeReplace(true))
	if err != nil {
		return nil, fmt.Errorf("create network %s: %w", name, err)
	}
	for _, pool := range sortedKeys(args.Subnets) {
		n.subnets[pool], err = hcloud.NewNetworkSubnet(ctx, pool, &hcloud.NetworkSubnetArgs{
			NetworkId:   numeric(n.network.ID()),
			Type:        pulumi.String("cloud"),
			NetworkZone: pulumi.String(location.NetworkZone),
			IpRange:     pulumi.String(args.Subnets[pool].String()),
		}, pulumi.Parent(n), pulumi.DeleteBeforeReplace(true))
		if err != nil {
			return nil, fmt.Errorf("create subnet of pool %s: %w", pool, err)
		}
	}
	return n, ctx.RegisterResourceOutputs(n, pulumi.Map{"id": n.network.ID()})
}

// Neighbour is the stack whose network has this name in the Hetzner project, unless it is this stack. Names are unique in a project,
// and a stack has the same as the next one. Empty: there is none.
func Neighbour(ctx *pulumi.Context, name string) (string, error) {
	found, err := hcloud.GetNetworks(ctx, &hcloud.GetNetworksArgs{})
	if err != nil {
		return "", fmt.Errorf("look up the networks of the Hetzner project: %w", err)
	}
	for _, network := range found.Networks {
		switch owner, labelled := network.Labels["stack"]; {
		case network.Name != name || owner == ctx.Stack():
		case labelled:
			return owner, nil
		default:
			return "(none: it has no label of ours)", nil
		}
	}
	return "", nil
}

// Site is the network as what everything inside the machines is deleted with.
func (n *Network) Site(patience time.Duration) Site { return Site{n.network, patience} }
