package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/consul/api"

	"hashistack/tools/native"
)

// KeyPrefixArgs are the inputs of all keys under a prefix; the id is the prefix. What is not listed is deleted.
type KeyPrefixArgs struct {
	PathPrefix       string            `pulumi:"pathPrefix" provider:"replaceOnChanges"`
	Datacenter       *string           `pulumi:"datacenter,optional" provider:"replaceOnChanges"`
	Subkeys          map[string]string `pulumi:"subkeys,optional"`
	SubkeyCollection []Subkey          `pulumi:"subkeyCollection,optional"`
}

// Subkey is a key under the prefix that has flags.
type Subkey struct {
	Path  string `pulumi:"path"`
	Value string `pulumi:"value"`
	Flags *int   `pulumi:"flags,optional"`
}

// KeyPrefixState is what Consul has.
type KeyPrefixState struct {
	PathPrefix       string            `pulumi:"pathPrefix"`
	Datacenter       string            `pulumi:"datacenter"`
	Subkeys          map[string]string `pulumi:"subkeys,optional"`
	SubkeyCollection []Subkey          `pulumi:"subkeyCollection,optional"`
}

// keys returns the listed keys with their full path. All are deleted when they leave the program.
func prefixKeys(prefix string, subkeys map[string]string, collection []Subkey) []Key {
	yes := true
	var all []Key
	for path, value := range subkeys {
		all = append(all, Key{Path: prefix + path, Value: &value, Delete: &yes})
	}
	for _, s := range collection {
		all = append(all, Key{Path: prefix + s.Path, Value: &s.Value, Flags: s.Flags, Delete: &yes})
	}
	return all
}

// livePrefix returns the inputs that describe the keys under a prefix.
func livePrefix(inputs KeyPrefixArgs, pairs api.KVPairs) KeyPrefixArgs {
	live := KeyPrefixArgs{PathPrefix: inputs.PathPrefix, Datacenter: inputs.Datacenter}
	listed := map[string]Subkey{}
	for _, s := range inputs.SubkeyCollection {
		listed[s.Path] = s
	}
	found := map[string]Subkey{}
	for _, pair := range pairs {
		path := strings.TrimPrefix(pair.Key, inputs.PathPrefix)
		if s, ok := listed[path]; ok {
			flags := native.Optional(s.Flags, int(pair.Flags), 0) //nolint:gosec // written as an int
			found[path] = Subkey{Path: path, Value: string(pair.Value), Flags: flags}
			continue
		}
		if live.Subkeys == nil {
			live.Subkeys = map[string]string{}
		}
		live.Subkeys[path] = string(pair.Value)
	}
	for _, s := range inputs.SubkeyCollection { // in the order of the program
		if s, ok := found[s.Path]; ok {
			live.SubkeyCollection = append(live.SubkeyCollection, s)
		}
	}
	if live.Subkeys == nil && inputs.Subkeys != nil {
		live.Subkeys = map[string]string{}
	}
	return live
}

func keyPrefix(c *connection) native.Kind[KeyPrefixArgs, KeyPrefixState] {
	state := func(a KeyPrefixArgs, old KeyPrefixState) KeyPrefixState {
		return KeyPrefixState{
			PathPrefix: a.PathPrefix, Datacenter: native.OrElse(a.Datacenter, old.Datacenter),
			Subkeys: a.Subkeys, SubkeyCollection: a.SubkeyCollection,
		}
	}
	list := func(ctx context.Context, datacenter, prefix string) (api.KVPairs, error) {
		client, err := c.consul(ctx)
		if err != nil {
			return nil, err
		}
		options := query(ctx)
		options.Datacenter = datacenter
		pairs, _, err := client.KV().List(prefix, options)
		return pairs, err
	}
	return native.Kind[KeyPrefixArgs, KeyPrefixState]{
		Module: "index/keyPrefix",
		Type:   "KeyPrefix",
		Label:  func(a KeyPrefixArgs) string { return "keys under " + a.PathPrefix },
		State:  state,
		Create: func(ctx context.Context, a KeyPrefixArgs) (string, KeyPrefixState, error) {
			dc, err := c.datacenter(ctx, a.Datacenter)
			if err != nil {
				return "", KeyPrefixState{}, err
			}
			pairs, err := list(ctx, dc, a.PathPrefix)
			if err != nil {
				return "", KeyPrefixState{}, err
			}
			if len(pairs) > 0 {
				return "", KeyPrefixState{}, fmt.Errorf("there are %d keys already, %s among them: delete them, or take "+
					"them over with `pulumi import consul:index/keyPrefix:KeyPrefix NAME %s`",
					len(pairs), pairs[0].Key, a.PathPrefix)
			}
			if err := c.putKeys(ctx, dc, prefixKeys(a.PathPrefix, a.Subkeys, a.SubkeyCollection)); err != nil {
				return "", KeyPrefixState{}, err
			}
			return a.PathPrefix, state(a, KeyPrefixState{Datacenter: dc}), nil
		},
		Read: func(
			ctx context.Context, id string, inputs KeyPrefixArgs, old KeyPrefixState,
		) (KeyPrefixArgs, KeyPrefixState, bool, error) {
			inputs.PathPrefix = id
			if old.Datacenter == "" {
				dc, err := c.datacenter(ctx, inputs.Datacenter)
				if err != nil {
					return inputs, old, false, err
				}
				old.Datacenter = dc
			}
			pairs, err := list(ctx, old.Datacenter, id)
			if err != nil {
				return inputs, old, false, err
			}
			live := livePrefix(inputs, pairs)
			return live, state(live, old), true, nil
		},
		Update: func(ctx context.Context, id string, a KeyPrefixArgs, old KeyPrefixState) (KeyPrefixState, error) {
			wanted := prefixKeys(id, a.Subkeys, a.SubkeyCollection)
			kept := map[string]bool{}
			for _, key := range wanted {
				kept[key.Path] = true
			}
			var left []Key
			for _, key := range prefixKeys(id, old.Subkeys, old.SubkeyCollection) {
				if !kept[key.Path] {
					left = append(left, key)
				}
			}
			if err := c.putKeys(ctx, old.Datacenter, wanted); err != nil {
				return old, err
			}
			return state(a, old), c.deleteKeys(ctx, old.Datacenter, left)
		},
		Delete: func(ctx context.Context, id string, s KeyPrefixState) error {
			client, err := c.consul(ctx)
			if err != nil {
				return err
			}
			options := write(ctx)
			options.Datacenter = s.Datacenter
			_, err = client.KV().DeleteTree(id, options)
			return err
		},
	}
}
