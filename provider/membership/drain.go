package membership

import (
	"context"
	"errors"
	"fmt"
	"slices"

	nomad "github.com/hashicorp/nomad/api"
	p "github.com/pulumi/pulumi-go-provider"

	"hashistack/provider/internal/api"
	"hashistack/provider/internal/wait"
)

// errNotReady says that a server knows the machine's client as something else than ready.
type errNotReady struct{ status string }

func (e errNotReady) Error() string { return "its client is " + e.status }

// client is the machine's Nomad client. The error is errNotReady if Nomad knows that there is none that is ready; any other says
// that nobody answered.
func (m *member) client(ctx context.Context) (node *nomad.NodeListStub, err error) {
	err = wait.AnyOf(m.nomad, func(ctx context.Context, server api.Nomad) error {
		nodes, _, err := server.Nodes().List(server.WithToken(ctx))
		if err != nil {
			return err
		}
		status := "not there"
		for _, found := range nodes {
			if found.Name != m.Machine {
				continue
			}
			if found.Status == nomad.NodeStatusReady {
				node = found
				return nil
			}
			status = found.Status
		}
		return wait.Final(errNotReady{status})
	})(ctx)
	var absent errNotReady
	if errors.As(err, &absent) {
		return nil, absent // for whoever waits for the client it is not final
	}
	return node, err
}

// drain moves the machine's allocations elsewhere. A client that is not ready has lost them already.
func (m *member) drain(ctx context.Context) error {
	var node *nomad.NodeListStub
	var absent errNotReady
	// While leadership moves nobody knows the client. That must not pass for a client that is away.
	err := wait.Until(ctx, "Nomad to say how the client of "+m.Machine+" is", func(ctx context.Context) (err error) {
		if node, err = m.client(ctx); errors.As(err, &absent) {
			return wait.Final(err)
		}
		return err
	})
	if errors.As(err, &absent) {
		p.GetLogger(ctx).Warningf("%s is not drained: %s", m.Machine, absent)
		return nil
	}
	if err != nil {
		return err
	}
	patience, err := wait.ParseTimeout(m.Timeout)
	if err != nil {
		return fmt.Errorf("timeout: %w", err)
	}
	spec := &nomad.DrainOptions{
		// Allocations that have not moved elsewhere by then are stopped, and the rest of the time is for that.
		DrainSpec: &nomad.DrainSpec{Deadline: patience / 2},
		Meta:      map[string]string{"message": "the machine is about to be replaced or removed"},
	}
	if err := wait.Until(ctx, "the drain of "+m.Machine+" to begin", wait.AnyOf(m.nomad, func(ctx context.Context, server api.Nomad) error {
		if node.Drain {
			return nil
		}
		_, err := server.Nodes().UpdateDrainOpts(node.ID, spec, server.Writing(ctx))
		return err
	})); err != nil {
		return err
	}
	return wait.Until(ctx, m.Machine+" to be drained", wait.AnyOf(m.nomad, func(ctx context.Context, server api.Nomad) error {
		node, _, err := server.Nodes().Info(node.ID, server.WithToken(ctx))
		if err != nil || node.DrainStrategy == nil {
			return err
		}
		allocations, _, err := server.Nodes().Allocations(node.ID, server.WithToken(ctx))
		if err != nil {
			return err
		}
		running := slices.DeleteFunc(allocations, (*nomad.Allocation).ClientTerminalStatus)
		return fmt.Errorf("%d allocations are left", len(running))
	}))
}
