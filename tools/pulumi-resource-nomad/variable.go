package main

import (
	"context"
	"strings"

	"github.com/hashicorp/nomad/api"

	"hashistack/tools/native"
)

// VariableArgs are the inputs of a variable; its id is PATH@NAMESPACE. Creation takes over a variable of that path.
type VariableArgs struct {
	Path      string            `pulumi:"path" provider:"replaceOnChanges"`
	Namespace *string           `pulumi:"namespace,optional" provider:"replaceOnChanges"`
	Items     map[string]string `pulumi:"items" provider:"secret"`
}

// VariableState is what Nomad has.
type VariableState struct{ VariableArgs }

func (a VariableArgs) id() string {
	return a.Path + "@" + native.OrElse(a.Namespace, api.DefaultNamespace)
}

func variable(c *connection) native.Kind[VariableArgs, VariableState] {
	// No lock is held and no index is checked, so that this replaces whatever is there, like the official plugin.
	put := func(ctx context.Context, a VariableArgs) error {
		client, err := c.nomad(ctx)
		if err != nil {
			return err
		}
		_, _, err = client.Variables().Create(&api.Variable{
			Path: a.Path, Namespace: native.OrElse(a.Namespace, api.DefaultNamespace), Items: a.Items,
		}, write(ctx))
		return err
	}
	return native.Kind[VariableArgs, VariableState]{
		Module: "index/variable",
		Type:   "Variable",
		Label:  func(a VariableArgs) string { return "variable " + a.id() },
		State:  func(a VariableArgs, _ VariableState) VariableState { return VariableState{a} },
		Create: func(ctx context.Context, a VariableArgs) (string, VariableState, error) {
			if err := put(ctx, a); err != nil {
				return "", VariableState{}, err
			}
			return a.id(), VariableState{a}, nil
		},
		Read: func(
			ctx context.Context, id string, inputs VariableArgs, _ VariableState,
		) (VariableArgs, VariableState, bool, error) {
			client, err := c.nomad(ctx)
			if err != nil {
				return inputs, VariableState{}, false, err
			}
			path, ns, ok := strings.Cut(id, "@")
			if !ok {
				ns = api.DefaultNamespace
			}
			options := query(ctx)
			options.Namespace = ns
			v, _, err := client.Variables().Read(path, options)
			if err != nil {
				return inputs, VariableState{}, false, unlessGone(err)
			}
			live := VariableArgs{
				Path: v.Path, Namespace: native.Optional(inputs.Namespace, v.Namespace, api.DefaultNamespace),
				Items: v.Items,
			}
			return live, VariableState{live}, true, nil
		},
		Update: func(ctx context.Context, _ string, a VariableArgs, _ VariableState) (VariableState, error) {
			return VariableState{a}, put(ctx, a)
		},
		Delete: func(ctx context.Context, _ string, s VariableState) error {
			client, err := c.nomad(ctx)
			if err != nil {
				return err
			}
			options := write(ctx)
			options.Namespace = native.OrElse(s.Namespace, api.DefaultNamespace)
			_, err = client.Variables().Delete(s.Path, options)
			return err
		},
	}
}
