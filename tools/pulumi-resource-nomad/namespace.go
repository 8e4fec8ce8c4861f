package main

import (
	"context"

	"github.com/hashicorp/nomad/api"

	"hashistack/tools/native"
)

// NamespaceArgs are the inputs of a namespace; its id is its name. Creation takes over a namespace of that name. Quotas
// and the configs of node pools, Vault and Consul need Nomad Enterprise, and are not supported.
type NamespaceArgs struct {
	Name         string                 `pulumi:"name" provider:"replaceOnChanges"`
	Description  *string                `pulumi:"description,optional"`
	Meta         map[string]string      `pulumi:"meta,optional"`
	Capabilities *NamespaceCapabilities `pulumi:"capabilities,optional"`
}

// NamespaceCapabilities say what jobs in the namespace may use.
type NamespaceCapabilities struct {
	EnabledTaskDrivers   []string `pulumi:"enabledTaskDrivers,optional"`
	DisabledTaskDrivers  []string `pulumi:"disabledTaskDrivers,optional"`
	EnabledNetworkModes  []string `pulumi:"enabledNetworkModes,optional"`
	DisabledNetworkModes []string `pulumi:"disabledNetworkModes,optional"`
}

// NamespaceState is what Nomad has.
type NamespaceState struct{ NamespaceArgs }

func (a NamespaceArgs) namespace() *api.Namespace {
	ns := &api.Namespace{Name: a.Name, Description: native.Value(a.Description), Meta: a.Meta}
	if a.Capabilities != nil {
		ns.Capabilities = &api.NamespaceCapabilities{
			EnabledTaskDrivers:   a.Capabilities.EnabledTaskDrivers,
			DisabledTaskDrivers:  a.Capabilities.DisabledTaskDrivers,
			EnabledNetworkModes:  a.Capabilities.EnabledNetworkModes,
			DisabledNetworkModes: a.Capabilities.DisabledNetworkModes,
		}
	}
	return ns
}

func liveNamespace(inputs NamespaceArgs, ns *api.Namespace) NamespaceArgs {
	live := NamespaceArgs{
		Name:        ns.Name,
		Description: native.Optional(inputs.Description, ns.Description, ""),
		Meta:        native.Map(inputs.Meta, ns.Meta),
	}
	if c := ns.Capabilities; c != nil && (inputs.Capabilities != nil || len(c.EnabledTaskDrivers)+
		len(c.DisabledTaskDrivers)+len(c.EnabledNetworkModes)+len(c.DisabledNetworkModes) > 0) {
		given := native.Value(inputs.Capabilities)
		live.Capabilities = &NamespaceCapabilities{
			EnabledTaskDrivers:   native.Set(given.EnabledTaskDrivers, c.EnabledTaskDrivers),
			DisabledTaskDrivers:  native.Set(given.DisabledTaskDrivers, c.DisabledTaskDrivers),
			EnabledNetworkModes:  native.Set(given.EnabledNetworkModes, c.EnabledNetworkModes),
			DisabledNetworkModes: native.Set(given.DisabledNetworkModes, c.DisabledNetworkModes),
		}
	}
	return live
}

func namespace(c *connection) native.Kind[NamespaceArgs, NamespaceState] {
	register := func(ctx context.Context, ns *api.Namespace) error {
		client, err := c.nomad(ctx)
		if err != nil {
			return err
		}
		_, err = client.Namespaces().Register(ns, write(ctx))
		return err
	}
	return native.Kind[NamespaceArgs, NamespaceState]{
		Module: "index/namespace",
		Type:   "Namespace",
		Label:  func(a NamespaceArgs) string { return "namespace " + a.Name },
		State:  func(a NamespaceArgs, _ NamespaceState) NamespaceState { return NamespaceState{a} },
		Create: func(ctx context.Context, a NamespaceArgs) (string, NamespaceState, error) {
			if err := register(ctx, a.namespace()); err != nil {
				return "", NamespaceState{}, err
			}
			return a.Name, NamespaceState{a}, nil
		},
		Read: func(
			ctx context.Context, id string, inputs NamespaceArgs, _ NamespaceState,
		) (NamespaceArgs, NamespaceState, bool, error) {
			client, err := c.nomad(ctx)
			if err != nil {
				return inputs, NamespaceState{}, false, err
			}
			ns, _, err := client.Namespaces().Info(id, query(ctx))
			if err != nil {
				return inputs, NamespaceState{}, false, unlessGone(err)
			}
			live := liveNamespace(inputs, ns)
			return live, NamespaceState{live}, true, nil
		},
		Update: func(ctx context.Context, _ string, a NamespaceArgs, _ NamespaceState) (NamespaceState, error) {
			return NamespaceState{a}, register(ctx, a.namespace())
		},
		Delete: func(ctx context.Context, id string, _ NamespaceState) error {
			if id == api.DefaultNamespace { // it cannot be deleted, so it becomes what it was
				return register(ctx, &api.Namespace{Name: id, Description: "Default shared namespace"})
			}
			client, err := c.nomad(ctx)
			if err != nil {
				return err
			}
			return retryBusy(ctx, func() error {
				_, err := client.Namespaces().Delete(id, write(ctx))
				return err
			})
		},
	}
}
