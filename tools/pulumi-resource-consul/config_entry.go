package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/mitchellh/mapstructure"

	"hashistack/tools/native"
)

// ConfigEntryArgs are the inputs of a config entry; its id is `KIND-NAME`.
type ConfigEntryArgs struct {
	Kind       string  `pulumi:"kind" provider:"replaceOnChanges"`
	Name       string  `pulumi:"name" provider:"replaceOnChanges"`
	ConfigJSON *string `pulumi:"configJson,optional"`
}

// ConfigEntryState is what Consul has.
type ConfigEntryState struct{ ConfigEntryArgs }

// entry decodes the config. Consul's own decoder would drop what it does not know; here that is an error.
func (a ConfigEntryArgs) entry() (api.ConfigEntry, error) {
	entry, err := api.MakeConfigEntry(a.Kind, a.Name)
	if err != nil {
		return nil, fmt.Errorf("kind: %w", err)
	}
	document := map[string]any{}
	if a.ConfigJSON != nil {
		if err := json.Unmarshal([]byte(*a.ConfigJSON), &document); err != nil {
			return nil, fmt.Errorf("configJson: must be a JSON object: %w", err)
		}
	}
	document["Kind"], document["Name"] = a.Kind, a.Name
	decoder, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		DecodeHook: mapstructure.ComposeDecodeHookFunc(
			mapstructure.StringToTimeDurationHookFunc(), mapstructure.StringToTimeHookFunc(time.RFC3339)),
		WeaklyTypedInput: true,
		ErrorUnused:      true,
		Result:           &entry,
	})
	if err != nil {
		return nil, fmt.Errorf("prepare to decode configJson: %w", err)
	}
	if err := decoder.Decode(document); err != nil {
		return nil, fmt.Errorf("configJson: %w", err)
	}
	return entry, nil
}

// liveEntry returns the inputs that describe a config entry.
func liveEntry(inputs ConfigEntryArgs, entry api.ConfigEntry) (ConfigEntryArgs, error) {
	live := ConfigEntryArgs{Kind: entry.GetKind(), Name: entry.GetName(), ConfigJSON: inputs.ConfigJSON}
	if wanted, err := inputs.entry(); err == nil { // none in an import
		asked, err := native.Asked(wanted)
		if err != nil {
			return live, err
		}
		if same, err := native.Covers(entry, asked); err != nil || same {
			return live, err
		}
	}
	text, err := json.Marshal(entry)
	if err != nil {
		return live, fmt.Errorf("encode the live config entry: %w", err)
	}
	var document map[string]any
	if err := json.Unmarshal(text, &document); err != nil {
		return live, fmt.Errorf("decode the live config entry: %w", err)
	}
	maps.DeleteFunc(document, func(k string, _ any) bool {
		return k == "Kind" || k == "Name" || k == "CreateIndex" || k == "ModifyIndex"
	})
	if text, err = json.Marshal(document); err != nil {
		return live, fmt.Errorf("encode the live config entry: %w", err)
	}
	config := string(text)
	live.ConfigJSON = &config
	return live, nil
}

// splitEntryID returns kind and name of an id. Both may hold hyphens: the longest kind that Consul knows decides.
func splitEntryID(id string) (kind, name string, err error) {
	for i := len(id) - 1; i > 0; i-- {
		if id[i] != '-' {
			continue
		}
		if _, err := api.MakeConfigEntry(id[:i], ""); err == nil {
			return id[:i], id[i+1:], nil
		}
	}
	return "", "", fmt.Errorf("id %q: must be KIND-NAME with a kind of config entry that Consul has, "+
		"such as service-defaults-web", id)
}

func configEntry(c *connection) native.Kind[ConfigEntryArgs, ConfigEntryState] {
	// Like the official plugin, creation takes over an entry that exists: some do from the start.
	set := func(ctx context.Context, a ConfigEntryArgs) error {
		client, err := c.consul(ctx)
		if err != nil {
			return err
		}
		entry, err := a.entry()
		if err != nil {
			return err
		}
		_, _, err = client.ConfigEntries().Set(entry, write(ctx))
		return err
	}
	return native.Kind[ConfigEntryArgs, ConfigEntryState]{
		Module: "index/configEntry",
		Type:   "ConfigEntry",
		Label:  func(a ConfigEntryArgs) string { return "config entry " + a.Kind + " " + a.Name },
		State:  func(a ConfigEntryArgs, _ ConfigEntryState) ConfigEntryState { return ConfigEntryState{a} },
		Create: func(ctx context.Context, a ConfigEntryArgs) (string, ConfigEntryState, error) {
			if err := set(ctx, a); err != nil {
				return "", ConfigEntryState{}, err
			}
			return a.Kind + "-" + a.Name, ConfigEntryState{a}, nil
		},
		Read: func(
			ctx context.Context, id string, inputs ConfigEntryArgs, state ConfigEntryState,
		) (ConfigEntryArgs, ConfigEntryState, bool, error) {
			client, err := c.consul(ctx)
			if err != nil {
				return inputs, state, false, err
			}
			kind, name := state.Kind, state.Name
			if kind == "" {
				if kind, name, err = splitEntryID(id); err != nil {
					return inputs, state, false, err
				}
			}
			entry, _, err := client.ConfigEntries().Get(kind, name, query(ctx))
			if err != nil {
				return inputs, state, false, unlessGone(ctx, client, err)
			}
			live, err := liveEntry(inputs, entry)
			return live, ConfigEntryState{live}, true, err
		},
		Update: func(
			ctx context.Context, _ string, a ConfigEntryArgs, _ ConfigEntryState,
		) (ConfigEntryState, error) {
			return ConfigEntryState{a}, set(ctx, a)
		},
		Delete: func(ctx context.Context, _ string, s ConfigEntryState) error {
			client, err := c.consul(ctx)
			if err != nil {
				return err
			}
			_, err = client.ConfigEntries().Delete(s.Kind, s.Name, write(ctx))
			return err
		},
	}
}
