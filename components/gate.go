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
// A platform that is still to come is let through at once, since all that needs its machines. It has come when Nomad has a leader:
// Nomad is the last to start, and needs what Vault and Consul grant on all servers. A preview is let through too.
type Gate struct {
	pulumi.ResourceState

	open    pulumi.Output // known when machines may be declared; it names no resource that they would depend on in the state
	granted chan error
}

// NewGate makes the gate. It must be opened or abandoned: until then the program does not end.
func NewGate(ctx *pulumi.Context, args *GateArgs, opts ...pulumi.InvokeOption) *Gate {
	opened, open, fail := ctx.NewOutput()
	g := &Gate{open: opened, granted: make(chan error, 1)}
	if ctx.DryRun() {
		open(true)
		return g
	}
	running := hashistack.IsNomadRunningOutput(ctx, hashistack.IsNomadRunningOutputArgs{
		Cluster: clusterOf(With(args.Pools, machine.RoleNomadServer), names.NomadPort, args.Trust.Bundle),
	}, opts...).Running()
	go func() {
		known, err := internals.UnsafeAwaitOutput(ctx.Context(), running)
		if err == nil && known.Value.(bool) {
			err = <-g.granted
		}
		if err != nil {
			fail(fmt.Errorf("machines stay as they are: %w", err))
			return
		}
		open(true)
	}()
	return g
}

// Abandon keeps machines as they are, because the program ends with an error before it could open the gate.
func (g *Gate) Abandon(err error) {
	select {
	case g.granted <- err:
	default: // it was opened
	}
}

// Open lets machines through once the resources are there, and all that belongs to them.
func (g *Gate) Open(ctx *pulumi.Context, name string, granted ...pulumi.Resource) error {
	if err := ctx.RegisterComponentResource(GateType, name, g, after(granted...)); err != nil {
		return fmt.Errorf("register gate %s: %w", name, err)
	}
	go func() {
		_, err := internals.UnsafeAwaitOutput(ctx.Context(), g.URN())
		g.granted <- err
	}()
	return ctx.RegisterResourceOutputs(g, pulumi.Map{})
}
