package main

import (
	"context"

	"github.com/hashicorp/consul/api"

	"hashistack/tools/native"
)

// ACLBindingRuleArgs are the inputs of a binding rule; its id is the rule's.
type ACLBindingRuleArgs struct {
	AuthMethod  string             `pulumi:"authMethod" provider:"replaceOnChanges"`
	BindType    string             `pulumi:"bindType" provider:"replaceOnChanges"`
	BindName    string             `pulumi:"bindName"`
	BindVars    *TemplateVariables `pulumi:"bindVars,optional"`
	Selector    *string            `pulumi:"selector,optional"`
	Description *string            `pulumi:"description,optional"`
}

// ACLBindingRuleState is what Consul has.
type ACLBindingRuleState struct{ ACLBindingRuleArgs }

func (a ACLBindingRuleArgs) rule(id string) *api.ACLBindingRule {
	rule := &api.ACLBindingRule{
		ID: id, AuthMethod: a.AuthMethod, BindType: api.BindingRuleBindType(a.BindType), BindName: a.BindName,
		Selector: native.Value(a.Selector), Description: native.Value(a.Description),
	}
	if a.BindVars != nil && a.BindVars.Name != nil {
		rule.BindVars = &api.ACLTemplatedPolicyVariables{Name: *a.BindVars.Name}
	}
	return rule
}

func aclBindingRule(c *connection) native.Kind[ACLBindingRuleArgs, ACLBindingRuleState] {
	return native.Kind[ACLBindingRuleArgs, ACLBindingRuleState]{
		Module: "index/aclBindingRule",
		Type:   "AclBindingRule",
		Label: func(a ACLBindingRuleArgs) string {
			return "binding rule of " + a.AuthMethod + " for " + a.BindType + " " + a.BindName
		},
		State: func(a ACLBindingRuleArgs, _ ACLBindingRuleState) ACLBindingRuleState {
			return ACLBindingRuleState{a}
		},
		Create: func(ctx context.Context, a ACLBindingRuleArgs) (string, ACLBindingRuleState, error) {
			client, err := c.consul(ctx)
			if err != nil {
				return "", ACLBindingRuleState{}, err
			}
			rule, _, err := client.ACL().BindingRuleCreate(a.rule(""), write(ctx))
			if err != nil {
				return "", ACLBindingRuleState{}, err
			}
			return rule.ID, ACLBindingRuleState{a}, nil
		},
		Read: func(
			ctx context.Context, id string, inputs ACLBindingRuleArgs, _ ACLBindingRuleState,
		) (ACLBindingRuleArgs, ACLBindingRuleState, bool, error) {
			client, err := c.consul(ctx)
			if err != nil {
				return inputs, ACLBindingRuleState{}, false, err
			}
			rule, _, err := client.ACL().BindingRuleRead(id, query(ctx))
			if err != nil || rule == nil {
				return inputs, ACLBindingRuleState{}, false, unlessGone(ctx, client, err)
			}
			live := ACLBindingRuleArgs{
				AuthMethod: rule.AuthMethod, BindType: string(rule.BindType), BindName: rule.BindName,
				Selector:    native.Optional(inputs.Selector, rule.Selector, ""),
				Description: native.Optional(inputs.Description, rule.Description, ""),
			}
			if rule.BindVars != nil && rule.BindVars.Name != "" {
				live.BindVars = &TemplateVariables{Name: &rule.BindVars.Name}
			}
			return live, ACLBindingRuleState{live}, true, nil
		},
		Update: func(
			ctx context.Context, id string, a ACLBindingRuleArgs, _ ACLBindingRuleState,
		) (ACLBindingRuleState, error) {
			client, err := c.consul(ctx)
			if err != nil {
				return ACLBindingRuleState{}, err
			}
			_, _, err = client.ACL().BindingRuleUpdate(a.rule(id), write(ctx))
			return ACLBindingRuleState{a}, err
		},
		Delete: func(ctx context.Context, id string, _ ACLBindingRuleState) error {
			client, err := c.consul(ctx)
			if err != nil {
				return err
			}
			_, err = client.ACL().BindingRuleDelete(id, write(ctx))
			return err
		},
	}
}
