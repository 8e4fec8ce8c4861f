package components

import (
	"fmt"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"hashistack/internal/machine"
	"hashistack/internal/names"
	"hashistack/sdks/hashistack"
)

// FleetType is the type token of Fleet.
const FleetType = typePrefix + "Fleet"

// quorumLane is where machines with a vote take turns, of whichever product: one of them is away at a time. No pool can have
// this name, so that none shares the lane.
const quorumLane = "(quorum)"

// clientsKept says how many of a pool's clients stay for each that is away.
const clientsKept = 4

// FleetArgs describes the machines as members of their clusters.
type FleetArgs struct {
	Pools  []*MachinePool
	Region string
	Vault  *Vault
	Consul *Consul
	Nomad  *Nomad
	Trust  *Trust
	Site   Site
	// Patience is how long to wait for a machine: to become a healthy member, to leave, or to be back.
	Patience time.Duration
}

// Fleet is the machines as members of their clusters. It is there when all of them are, healthy; and a machine that is to be
// replaced or removed leaves its clusters first, when it is its turn and the others can do without it.
type Fleet struct {
	pulumi.ResourceState
}

// NewFleet declares the membership of every machine.
func NewFleet(ctx *pulumi.Context, name string, args *FleetArgs, opts ...pulumi.ResourceOption) (*Fleet, error) {
	f := &Fleet{}
	if err := ctx.RegisterComponentResource(FleetType, name, f, opts...); err != nil {
		return nil, fmt.Errorf("register fleet %s: %w", name, err)
	}
	for _, pool := range args.Pools {
		for _, m := range pool.Machines {
			if err := f.member(ctx, args, pool, m); err != nil {
				return nil, err
			}
		}
	}
	return f, ctx.RegisterResourceOutputs(f, pulumi.Map{})
}

func (f *Fleet) member(ctx *pulumi.Context, args *FleetArgs, pool *MachinePool, m PoolMachine) error {
	lane, atOnce := pool.lane()
	roles := pulumi.StringArray{}
	for _, role := range pool.Roles {
		roles = append(roles, pulumi.String(role))
	}
	_, err := hashistack.NewMembership(ctx, m.Name, &hashistack.MembershipArgs{
		Machine:     pulumi.String(m.Name),
		MachineId:   m.Server.ID().ToStringOutput(),
		Roles:       roles,
		Lane:        pulumi.String(lane),
		AtOnce:      pulumi.Int(atOnce),
		Region:      pulumi.String(args.Region),
		VaultNodes:  nodes(With(args.Pools, machine.RoleVault), names.VaultPort),
		VaultToken:  args.Vault.RootToken,
		UnsealKeys:  args.Vault.unsealKeys,
		ConsulNodes: nodes(With(args.Pools, machine.RoleConsulServer), names.ConsulPort),
		ConsulToken: args.Consul.Token,
		NomadNodes:  nodes(With(args.Pools, machine.RoleNomadServer), names.NomadPort),
		NomadToken:  args.Nomad.Token,
		// Of a machine that carries the next root already, and has no certificate of Vault's yet, the clients' bundle of before
		// its replacement does not know the root.
		CaPem:   args.Trust.all,
		Timeout: pulumi.String(args.Patience.String()),
	}, args.Site.inside(f)...)
	if err != nil {
		return fmt.Errorf("declare membership of %s: %w", m.Name, err)
	}
	return nil
}

// lane is where the pool's machines take turns, and how many of them may be away at once.
func (p *MachinePool) lane() (name string, atOnce int) {
	if machine.HoldQuorum(p.Roles) {
		return quorumLane, 1
	}
	return p.Name, max(1, len(p.Machines)/(clientsKept+1))
}
