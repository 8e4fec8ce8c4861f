package main

import (
	"context"

	"github.com/hashicorp/nomad/api"

	"hashistack/tools/native"
)

// ACLBindingRuleArgs are the inputs of a binding rule; its id is the rule's.
type ACLBindingRuleArgs struct {
	AuthMethod  string  `pulumi:"authMethod" provider:"replaceOnChanges"`
	BindType    string  `pulumi:"bindType"`
	BindName    *string `pulumi:"bindName,optional"`
	Selector    *string `pulumi:"selector,optional"`
	Description *string `pulumi:"description,optional"`
}

// ACLBindingRuleState is what Nomad has.
type ACLBindingRuleState struct{ ACLBindingRuleArgs }

func (a ACLBindingRuleArgs) rule(id string) *api.ACLBindingRule {
	return &api.ACLBindingRule{
		ID: id, AuthMethod: a.AuthMethod, BindType: a.BindType, BindName: native.Value(a.BindName),
		Selector: native.Value(a.Selector), Description: native.Value(a.Description),
	}
}

func aclBindingRule(c *connection) native.Kind[ACLBindingRuleArgs, ACLBindingRuleState] {
	return native.Kind[ACLBindingRuleArgs, ACLBindingRuleState]{
		Module: "index/aclBindingRule",
		Type:   "AclBindingRule",
		Label: func(a ACLBindingRuleArgs) string {
			return "binding rule of " + a.AuthMethod + " for " + a.BindType + " " + native.Value(a.BindName)
		},
		State: func(a ACLBindingRuleArgs, _ ACLBindingRuleState) ACLBindingRuleState {
			return ACLBindingRuleState{a}
		},
		Create: func(ctx context.Context, a ACLBindingRuleArgs) (string, ACLBindingRuleState, error) {
			client, err := c.nomad(ctx)
			if err != nil {
				return "", ACLBindingRuleState{}, err
			}
			rule, _, err := client.ACLBindingRules().Create(a.rule(""), write(ctx))
			if err != nil {
				return "", ACLBindingRuleState{}, err
			}
			return rule.ID, ACLBindingRuleState{a}, nil
		},
		Read: func(
			ctx context.Context, id string, inputs ACLBindingRuleArgs, _ ACLBindingRuleState,
		) (ACLBindingRuleArgs, ACLBindingRuleState, bool, error) {
			client, err := c.nomad(ctx)
			if err != nil {
				return inputs, ACLBindingRuleState{}, false, err
			}
			rule, _, err := client.ACLBindingRules().Get(id, query(ctx))
			if err != nil {
				return inputs, ACLBindingRuleState{}, false, unlessGone(err)
			}
			live := ACLBindingRuleArgs{
				AuthMethod: rule.AuthMethod, BindType: rule.BindType,
				BindName:    native.Optional(inputs.BindName, rule.BindName, ""),
				Selector:    native.Optional(inputs.Selector, rule.Selector, ""),
				Description: native.Optional(inputs.Description, rule.Description, ""),
			}
			return live, ACLBindingRuleState{live}, true, nil
		},
		Update: func(
			ctx context.Context, id string, a ACLBindingRuleArgs, _ ACLBindingRuleState,
		) (ACLBindingRuleState, error) {
			client, err := c.nomad(ctx)
			if err != nil {
				return ACLBindingRuleState{}, err
			}
			_, _, err = client.ACLBindingRules().Update(a.rule(id), write(ctx))
			return ACLBindingRuleState{a}, err
		},
		Delete: func(ctx context.Context, id string, _ ACLBindingRuleState) error {
			client, err := c.nomad(ctx)
			if err != nil {
				return err
			}
			_, err = client.ACLBindingRules().Delete(id, write(ctx))
			return err
		},
	}
}
