package components

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"hashistack/internal/machine"
	"hashistack/internal/machine/parts"
	"hashistack/internal/names"
	"hashistack/sdks/hashistack"
)

// FleetType is the type token of Fleet.
const FleetType = typePrefix + "Fleet"

// quorumLane is the lane of all machines with a vote, whatever the product: one of them is away at a time. No pool can have
// this name, so none shares the lane.
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
}

// Fleet is the machines as members of their clusters. It exists once every machine is a healthy member. Before a machine is
// replaced or removed, it leaves its clusters: in its turn, and when the others can do without it.
type Fleet struct {
	pulumi.ResourceState

	// Voters are the memberships of the machines with a vote.
	Voters []pulumi.Resource
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
	membership := &hashistack.MembershipArgs{
		Machine:   pulumi.String(m.Name),
		MachineId: m.Server.ID().ToStringOutput(),
		Lane:      pulumi.String(lane),
		AtOnce:    pulumi.Int(atOnce),
		Region:    pulumi.String(args.Region),
		Timeout:   args.Site.timeout(),
		MadeOf:    m.Digests,
	}
	args.join(membership, pool)
	var before []pulumi.Resource
	if parts.Of(pool.Roles).RunJobs() {
		introduction, err := f.introduce(ctx, args, pool, m)
		if err != nil {
			return err
		}
		// A membership waits for the machine, and must not hold up what the machine waits for.
		before = append(before, introduction)
	}
	declared, err := hashistack.NewMembership(ctx, m.Name, membership, args.Site.inside(f, after(before...))...)
	if err != nil {
		return fmt.Errorf("declare membership of %s: %w", m.Name, err)
	}
	if machine.HoldQuorum(pool.Roles) {
		f.Voters = append(f.Voters, declared)
	}
	return nil
}

// introduce lets a machine register as a client of Nomad.
func (f *Fleet) introduce(ctx *pulumi.Context, args *FleetArgs, pool *MachinePool, m PoolMachine) (pulumi.Resource, error) {
	introduction := &hashistack.NomadIntroductionArgs{
		Machine:   pulumi.String(m.Name),
		MachineId: m.Server.ID().ToStringOutput(),
		Nomad:     args.of(args.Nomad.machines, names.NomadPort, args.Nomad.Token),
		Vault:     args.of(args.Vault.machines, names.VaultPort, args.Vault.RootToken),
		Mount:     pulumi.String(names.Platform),
		Secret:    pulumi.String(names.Introduction(m.Name)),
		Timeout:   args.Site.timeout(),
	}
	if pool.args.NodePool != "" {
		introduction.NodePool = pulumi.String(pool.args.NodePool)
	}
	introduced, err := hashistack.NewNomadIntroduction(ctx, m.Name, introduction, args.Site.inside(f)...)
	if err != nil {
		return nil, fmt.Errorf("introduce %s to Nomad: %w", m.Name, err)
	}
	return introduced, nil
}

// of is how the servers of a product are reached.
func (a *FleetArgs) of(servers []Machine, port int, token pulumi.StringOutput) hashistack.ClusterArgs {
	// All roots, not the clients' bundle: a new machine may present a certificate that the next root has signed, and the
	// clients do not know that root yet.
	return withToken(clusterOf(servers, port, a.Trust.all), token)
}

// join gives a membership the clusters that the pool's machines are members of. Their tokens are all that its state holds
// secret.
func (a *FleetArgs) join(membership *hashistack.MembershipArgs, pool *MachinePool) {
	made := parts.Of(pool.Roles)
	membership.NomadClient = pulumi.Bool(made.RunJobs())
	if made.Member(machine.Consul) {
		membership.Consul = a.of(a.Consul.machines, names.ConsulPort, a.Consul.Token)
	}
	if made.Member(machine.Vault) {
		membership.Vault, membership.UnsealKeys = a.of(a.Vault.machines, names.VaultPort, a.Vault.RootToken), a.Vault.unsealKeys
	}
	if made.Member(machine.Nomad) {
		membership.Nomad = a.of(a.Nomad.machines, names.NomadPort, a.Nomad.Token)
	}
}

// lane is where the pool's machines take turns, and how many of them may be away at once.
func (p *MachinePool) lane() (name string, atOnce int) {
	if machine.HoldQuorum(p.Roles) {
		return quorumLane, 1
	}
	return p.Name, max(1, len(p.Machines)/(clientsKept+1))
}
