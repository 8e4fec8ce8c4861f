package membership

import (
	"context"
	"fmt"
	"slices"

	nomad "github.com/hashicorp/nomad/api"
	p "github.com/pulumi/pulumi-go-provider"

	"hashistack/provider/internal/api"
	"hashistack/provider/internal/explain"
	"hashistack/provider/internal/wait"
)

// client is the machine's Nomad client.
func (m *member) client(ctx context.Context) (node *nomad.NodeListStub, err error) {
	return node, wait.AnyOf(m.nomad, func(ctx context.Context, server api.Nomad) error {
		nodes, _, err := server.Nodes().List(server.WithToken(ctx))
		if err != nil {
			return err
		}
		state := "not there"
		for _, found := range nodes {
			if found.Name != m.Machine {
				continue
			}
			if found.Status == nomad.NodeStatusReady {
				node = found
				return nil
			}
			state = found.Status
		}
		return fmt.Errorf("its client is %s", state)
	})(ctx)
}

// drain moves the machine's allocations elsewhere. A client that is not ready has lost them already.
func (m *member) drain(ctx context.Context) error {
	node, err := m.client(ctx)
	if err != nil {
		p.GetLogger(ctx).Warningf("%s is not drained: %s", m.Machine, explain.Error(err))
		return nil
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
