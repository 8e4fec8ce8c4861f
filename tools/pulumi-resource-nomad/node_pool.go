package main

import (
	"context"
	"fmt"

	"github.com/hashicorp/nomad/api"
	"github.com/pulumi/pulumi-go-provider/infer"

	"hashistack/tools/native"
)

// NodePoolArgs are the inputs of a node pool; its id is its name. Creation takes over a pool of that name, which the
// first node that names it may have made. A scheduler config of its own needs Nomad Enterprise, and is not supported.
type NodePoolArgs struct {
	Name            string            `pulumi:"name" provider:"replaceOnChanges"`
	Description     *string           `pulumi:"description,optional"`
	Meta            map[string]string `pulumi:"meta,optional"`
	NodeIdentityTTL *string           `pulumi:"nodeIdentityTtl,optional"`
}

// NodePoolState is what Nomad has.
type NodePoolState struct {
	Name            string            `pulumi:"name"`
	Description     *string           `pulumi:"description,optional"`
	Meta            map[string]string `pulumi:"meta,optional"`
	NodeIdentityTTL string            `pulumi:"nodeIdentityTtl"`
}

func (a NodePoolArgs) state(ttl string) NodePoolState {
	return NodePoolState{
		Name: a.Name, Description: a.Description, Meta: a.Meta,
		NodeIdentityTTL: native.OrElse(a.NodeIdentityTTL, ttl),
	}
}

func (a NodePoolArgs) pool() (*api.NodePool, error) {
	ttl, err := parseDuration("nodeIdentityTtl", a.NodeIdentityTTL)
	if err != nil {
		return nil, err
	}
	return &api.NodePool{
		Name: a.Name, Description: native.Value(a.Description), Meta: a.Meta, NodeIdentityTTL: ttl,
	}, nil
}

func livePool(inputs NodePoolArgs, pool *api.NodePool) NodePoolArgs {
	live := NodePoolArgs{
		Name:        pool.Name,
		Description: native.Optional(inputs.Description, pool.Description, ""),
		Meta:        native.Map(inputs.Meta, pool.Meta),
	}
	if inputs.NodeIdentityTTL != nil {
		live.NodeIdentityTTL = liveDuration(inputs.NodeIdentityTTL, pool.NodeIdentityTTL)
	}
	return live
}

func nodePool(c *connection) native.Kind[NodePoolArgs, NodePoolState] {
	register := func(ctx context.Context, a NodePoolArgs) (NodePoolState, error) {
		client, err := c.nomad(ctx)
		if err != nil {
			return NodePoolState{}, err
		}
		pool, err := a.pool()
		if err != nil {
			return NodePoolState{}, err
		}
		if _, err := client.NodePools().Register(pool, write(ctx)); err != nil {
			return NodePoolState{}, err
		}
		if pool, _, err = client.NodePools().Info(a.Name, query(ctx)); err != nil {
			return NodePoolState{}, fmt.Errorf("read it back: %w", err)
		}
		return a.state(pool.NodeIdentityTTL.String()), nil
	}
	return native.Kind[NodePoolArgs, NodePoolState]{
		Module: "index/nodePool",
		Type:   "NodePool",
		Label:  func(a NodePoolArgs) string { return "node pool " + a.Name },
		State:  func(a NodePoolArgs, old NodePoolState) NodePoolState { return a.state(old.NodeIdentityTTL) },
		Create: func(ctx context.Context, a NodePoolArgs) (string, NodePoolState, error) {
			state, err := register(ctx, a)
			if err != nil {
				return "", state, err
			}
			return a.Name, state, nil
		},
		Read: func(
			ctx context.Context, id string, inputs NodePoolArgs, _ NodePoolState,
		) (NodePoolArgs, NodePoolState, bool, error) {
			client, err := c.nomad(ctx)
			if err != nil {
				return inputs, NodePoolState{}, false, err
			}
			pool, _, err := client.NodePools().Info(id, query(ctx))
			if err != nil {
				return inputs, NodePoolState{}, false, unlessGone(err)
			}
			live := livePool(inputs, pool)
			return live, live.state(pool.NodeIdentityTTL.String()), true, nil
		},
		Update: func(ctx context.Context, _ string, a NodePoolArgs, _ NodePoolState) (NodePoolState, error) {
			return register(ctx, a)
		},
		Delete: func(ctx context.Context, id string, _ NodePoolState) error {
			client, err := c.nomad(ctx)
			if err != nil {
				return err
			}
			return retryBusy(ctx, func() error {
				_, err := client.NodePools().Delete(id, write(ctx))
				return err
			})
		},
		Wire: func(f infer.FieldSelector, a *NodePoolArgs, s *NodePoolState) {
			f.OutputField(&s.NodeIdentityTTL).DependsOn(f.InputField(&a.NodeIdentityTTL).Computed())
		},
	}
}
