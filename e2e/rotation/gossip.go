package rotation

import (
	"context"
	"maps"
	"os"
	"slices"

	consul "github.com/hashicorp/consul/api"
	nomad "github.com/hashicorp/nomad/api"

	"hashistack/e2e/stack"
)

// gossip changes the gossip keys of both products through the configuration.
func gossip(ctx context.Context, p *proof, phase *Phase) error {
	return p.leftAlone(ctx, phase, func() error {
		return p.changeGossip(ctx, phase, func() error { return p.update(ctx) })
	})
}

// interruptedGossip kills the update that changes the gossip keys, between two of that update's steps, and runs it
// again.
func interruptedGossip(ctx context.Context, p *proof, phase *Phase) error {
	return p.leftAlone(ctx, phase, func() error {
		return p.changeGossip(ctx, phase, func() error {
			if err := p.settings.write(p.stack); err != nil {
				return err
			}
			used := func(e stack.Event) bool { return e.Begin != nil && e.Begin.Touches("hashistack:index:GossipUse", "") }
			if err := p.stack.Interrupt(ctx, used, (*os.Process).Kill); err != nil {
				return err
			}
			found, err := p.gossipKeys(ctx)
			if err != nil {
				return err
			}
			phase.note("pulumi was killed while Consul's members had %d keys and Nomad's %d", len(found["consul"]), len(found["nomad"]))
			if err := p.stack.Settle(ctx); err != nil {
				return err
			}
			return p.update(ctx)
		})
	})
}

// changeGossip runs a change of the gossip keys. It compares the keys before and after, and checks that no member was
// lost.
func (p *proof) changeGossip(ctx context.Context, phase *Phase, change func() error) error {
	before, err := p.gossipKeys(ctx)
	if err != nil {
		return err
	}
	p.settings.raise("consulGossip", "nomadGossip")
	if err := change(); err != nil {
		return err
	}
	after, err := p.gossipKeys(ctx)
	if err != nil {
		return err
	}
	for product, keys := range after {
		if len(keys) != 1 || slices.Equal(keys, before[product]) {
			phase.problem("%s: want one gossip key, another than before, got %d keys", product, len(keys))
		}
	}
	phase.note("all members have one gossip key, another than before")
	return p.outputs.Healthy(ctx) // every machine is still a member
}

// gossipKeys returns, by product, the keys that any member has.
func (p *proof) gossipKeys(ctx context.Context) (map[string][]string, error) {
	return asked(ctx, "all members' gossip keys", func(ctx context.Context) (map[string][]string, error) {
		client, err := p.outputs.Consul()
		if err != nil {
			return nil, err
		}
		answers, err := client.Operator().KeyringList(new(consul.QueryOptions).WithContext(ctx))
		if err != nil {
			return nil, err
		}
		inConsul := map[string]bool{}
		for _, answer := range answers {
			for key := range answer.Keys {
				inConsul[key] = true
			}
		}
		servers, err := p.outputs.Nomad()
		if err != nil {
			return nil, err
		}
		defer servers.Close()
		var inNomad nomad.KeyringResponse
		if _, err := servers.Raw().Query("/v1/agent/keyring/list", &inNomad, new(nomad.QueryOptions).WithContext(ctx)); err != nil {
			return nil, err
		}
		return map[string][]string{
			"consul": slices.Sorted(maps.Keys(inConsul)), "nomad": slices.Sorted(maps.Keys(inNomad.Keys)),
		}, nil
	})
}
