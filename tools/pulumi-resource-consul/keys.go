package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/consul/api"

	"hashistack/tools/native"
)

// KeysArgs are the inputs of a handful of keys; the id is `consul`, as in the official plugin.
type KeysArgs struct {
	Datacenter *string `pulumi:"datacenter,optional" provider:"replaceOnChanges"`
	Keys       []Key   `pulumi:"keys,optional"`
}

// Key is one key. It stays when it leaves the program, unless Delete says otherwise.
type Key struct {
	Path   string  `pulumi:"path"`
	Value  *string `pulumi:"value,optional"`
	Flags  *int    `pulumi:"flags,optional"`
	Delete *bool   `pulumi:"delete,optional"`
}

// KeysState is what Consul has.
type KeysState struct {
	Datacenter string            `pulumi:"datacenter"`
	Keys       []Key             `pulumi:"keys,optional"`
	Var        map[string]string `pulumi:"var"`
}

func keys(c *connection) native.Kind[KeysArgs, KeysState] {
	state := func(a KeysArgs, old KeysState) KeysState {
		return KeysState{
			Datacenter: native.OrElse(a.Datacenter, old.Datacenter), Keys: a.Keys, Var: map[string]string{},
		}
	}
	return native.Kind[KeysArgs, KeysState]{
		Module: "index/keys",
		Type:   "Keys",
		Label: func(a KeysArgs) string {
			if len(a.Keys) == 0 {
				return "keys"
			}
			return "keys " + a.Keys[0].Path + "…"
		},
		State: state,
		Create: func(ctx context.Context, a KeysArgs) (string, KeysState, error) {
			dc, err := c.datacenter(ctx, a.Datacenter)
			if err != nil {
				return "", KeysState{}, err
			}
			if err := c.putKeys(ctx, dc, a.Keys); err != nil {
				return "", KeysState{}, err
			}
			return "consul", state(a, KeysState{Datacenter: dc}), nil
		},
		Read: func(
			ctx context.Context, _ string, inputs KeysArgs, old KeysState,
		) (KeysArgs, KeysState, bool, error) {
			client, err := c.consul(ctx)
			if err != nil {
				return inputs, old, false, err
			}
			live := KeysArgs{Datacenter: inputs.Datacenter}
			for _, key := range inputs.Keys {
				options := query(ctx)
				options.Datacenter = old.Datacenter
				pair, _, err := client.KV().Get(key.Path, options)
				if err != nil {
					return inputs, old, false, fmt.Errorf("key %s: %w", key.Path, err)
				}
				value := "" // a key that is gone must be written again
				if pair != nil {
					value = string(pair.Value)
					key.Flags = native.Optional(key.Flags, int(pair.Flags), 0) //nolint:gosec // written as an int
				}
				if pair == nil && native.Value(key.Value) == "" {
					key.Value = nil
				} else {
					key.Value = &value
				}
				live.Keys = append(live.Keys, key)
			}
			return live, state(live, old), true, nil
		},
		Update: func(ctx context.Context, _ string, a KeysArgs, old KeysState) (KeysState, error) {
			kept := map[string]bool{}
			for _, key := range a.Keys {
				kept[key.Path] = true
			}
			var left []Key
			for _, key := range old.Keys {
				if !kept[key.Path] {
					left = append(left, key)
				}
			}
			if err := c.deleteKeys(ctx, old.Datacenter, left); err != nil {
				return old, err
			}
			return state(a, old), c.putKeys(ctx, old.Datacenter, a.Keys)
		},
		Delete: func(ctx context.Context, _ string, s KeysState) error {
			return c.deleteKeys(ctx, s.Datacenter, s.Keys)
		},
	}
}

// datacenter returns the datacenter of keys: the given one, or that of the agent.
func (c *connection) datacenter(ctx context.Context, given *string) (string, error) {
	if given != nil {
		return *given, nil
	}
	client, err := c.consul(ctx)
	if err != nil {
		return "", err
	}
	self, err := client.Agent().Self()
	if err != nil {
		return "", fmt.Errorf("ask the agent for its datacenter: %w", err)
	}
	dc, ok := self["Config"]["Datacenter"].(string)
	if !ok {
		return "", errors.New("the agent does not tell its datacenter: set `datacenter`")
	}
	return dc, nil
}

func (c *connection) putKeys(ctx context.Context, datacenter string, keys []Key) error {
	client, err := c.consul(ctx)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if key.Value == nil {
			return fmt.Errorf("key %s: has no value: keys are only written, use getKeys to read", key.Path)
		}
		options := write(ctx)
		options.Datacenter = datacenter
		pair := &api.KVPair{
			Key: key.Path, Value: []byte(*key.Value),
			Flags: uint64(native.Value(key.Flags)), //nolint:gosec // opaque bits to Consul
		}
		if _, err := client.KV().Put(pair, options); err != nil {
			return fmt.Errorf("write key %s: %w", key.Path, err)
		}
	}
	return nil
}

// deleteKeys deletes the keys that have Delete set.
func (c *connection) deleteKeys(ctx context.Context, datacenter string, keys []Key) error {
	client, err := c.consul(ctx)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if !native.Value(key.Delete) {
			continue
		}
		options := write(ctx)
		options.Datacenter = datacenter
		if _, err := client.KV().Delete(key.Path, options); err != nil {
			return fmt.Errorf("delete key %s: %w", key.Path, err)
		}
	}
	return nil
}
