package components

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/internals"

	"hashistack/internal/machine"
	"hashistack/internal/names"
	"hashistack/sdks/hashistack"
)

// GateType is the type token of Gate.
const GateType = typePrefix + "Gate"

// GateArgs describes whose machines the gate is for.
type GateArgs struct {
	Pools []*MachinePool
	Trust *Trust
}

// Gate stands before the machines of a platform that runs: none is declared, and so none replaced, before all that machines are
// granted in Vault, Consul and Nomad is as the program wants it. A machine that came back earlier would wait for what it is
// not granted yet, the next in turn for that machine, and what is written through the machine's API would meet nobody.
//
// Machines with a vote go first. The others follow when all of these are healthy members: Consul and Nomad ask for servers
// to be upgraded before clients, and no client is touched while the servers are not whole. They wait here and not in their turn,
// because Pulumi does only a few things at a time, and clients that wait in turn would leave none for the servers.
//
// A platform that is still to come is let through at once, since all that needs its machines. It has come when Nomad has a leader:
// Nomad is the last to start, and needs what Vault and Consul grant on all servers. A preview is let through too.
type Gate struct {
	pulumi.ResourceState

	voters, others door
}

// door is what machines of a kind wait for.
type door struct {
	open pulumi.Output // known when machines may be declared; it names no resource that they would depend on in the state
	wait chan error    // is told when the machines of a platform that runs may be declared, or why not

	let  func(any)
	fail func(error)
}

func newDoor(ctx *pulumi.Context) door {
	d := door{wait: make(chan error, 1)}
	d.open, d.let, d.fail = ctx.NewOutput()
	return d
}

// tell says whether what the door waits for is there.
func (d door) tell(err error) {
	select {
	case d.wait <- err:
	default: // it was told before
	}
}

// pass lets machines through, or says why they stay.
func (d door) pass(err error) {
	if err != nil {
		d.fail(fmt.Errorf("machines stay as they are: %w", err))
		return
	}
	d.let(true)
}

// NewGate makes the gate. It must be opened or abandoned: until then the program does not end.
func NewGate(ctx *pulumi.Context, args *GateArgs, opts ...pulumi.InvokeOption) *Gate {
	g := &Gate{voters: newDoor(ctx), others: newDoor(ctx)}
	if ctx.DryRun() {
		g.voters.pass(nil)
		g.others.pass(nil)
		return g
	}
	running := hashistack.IsNomadRunningOutput(ctx, hashistack.IsNomadRunningOutputArgs{
		Cluster: clusterOf(With(args.Pools, machine.RoleNomadServer), names.NomadPort, args.Trust.Bundle),
	}, opts...).Running()
	go func() {
		known, err := internals.UnsafeAwaitOutput(ctx.Context(), running)
		isRunning := err == nil && known.Value.(bool)
		for _, door := range []door{g.voters, g.others} {
			if err == nil && isRunning {
				err = <-door.wait
			}
			door.pass(err)
		}
	}()
	return g
}

// Abandon keeps machines as they are, because the program ends with an error before it could open the gate.
func (g *Gate) Abandon(err error) {
	g.voters.tell(err)
	g.others.tell(err)
}

// Open lets machines with a vote through once the resources are there, and all that belongs to them.
func (g *Gate) Open(ctx *pulumi.Context, name string, granted ...pulumi.Resource) error {
	if err := ctx.RegisterComponentResource(GateType, name, g, after(granted...)); err != nil {
		return fmt.Errorf("register gate %s: %w", name, err)
	}
	go func() { g.voters.tell(allMade(ctx, g)) }()
	return ctx.RegisterResourceOutputs(g, pulumi.Map{})
}

// Follow lets the other machines through once these memberships are there: those of the machines with a vote.
func (g *Gate) Follow(ctx *pulumi.Context, memberships ...pulumi.Resource) {
	go func() { g.others.tell(allMade(ctx, memberships...)) }()
}

// allMade waits until all resources are there.
func allMade(ctx *pulumi.Context, resources ...pulumi.Resource) error {
	for _, resource := range resources {
		if _, err := internals.UnsafeAwaitOutput(ctx.Context(), resource.URN()); err != nil {
			return err
		}
	}
	return nil
}

// before is what the machines of a pool wait for.
func (g *Gate) before(pool *MachinePool) pulumi.Output {
	if machine.HoldQuorum(pool.Roles) {
		return g.voters.open
	}
	return g.others.open
}
