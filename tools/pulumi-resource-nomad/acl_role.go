package main

import (
	"context"

	"github.com/hashicorp/nomad/api"

	"hashistack/tools/native"
)

// ACLRoleArgs are the inputs of an ACL role; its id is the role's.
type ACLRoleArgs struct {
	Name        string          `pulumi:"name"`
	Description *string         `pulumi:"description,optional"`
	Policies    []ACLRolePolicy `pulumi:"policies"`
}

// ACLRolePolicy is a policy by name.
type ACLRolePolicy struct {
	Name string `pulumi:"name"`
}

// ACLRoleState is what Nomad has.
type ACLRoleState struct{ ACLRoleArgs }

func (a ACLRoleArgs) role(id string) *api.ACLRole {
	role := &api.ACLRole{ID: id, Name: a.Name, Description: native.Value(a.Description)}
	for _, policy := range a.Policies {
		role.Policies = append(role.Policies, &api.ACLRolePolicyLink{Name: policy.Name})
	}
	return role
}

// liveRolePolicies returns the policies of a role, in the order of the inputs while they are the same.
func liveRolePolicies(inputs []ACLRolePolicy, links []*api.ACLRolePolicyLink) []ACLRolePolicy {
	var given, live []string
	var out []ACLRolePolicy
	for _, policy := range inputs {
		given = append(given, policy.Name)
	}
	for _, link := range links {
		live = append(live, link.Name)
		out = append(out, ACLRolePolicy{Name: link.Name})
	}
	if native.SameSet(given, live) {
		return inputs
	}
	return out
}

func aclRole(c *connection) native.Kind[ACLRoleArgs, ACLRoleState] {
	return native.Kind[ACLRoleArgs, ACLRoleState]{
		Module: "index/aclRole",
		Type:   "AclRole",
		Label:  func(a ACLRoleArgs) string { return "ACL role " + a.Name },
		State:  func(a ACLRoleArgs, _ ACLRoleState) ACLRoleState { return ACLRoleState{a} },
		Create: func(ctx context.Context, a ACLRoleArgs) (string, ACLRoleState, error) {
			client, err := c.nomad(ctx)
			if err != nil {
				return "", ACLRoleState{}, err
			}
			role, _, err := client.ACLRoles().Create(a.role(""), write(ctx))
			if err != nil {
				return "", ACLRoleState{}, exists(err, "nomad:index/aclRole:AclRole")
			}
			return role.ID, ACLRoleState{a}, nil
		},
		Read: func(
			ctx context.Context, id string, inputs ACLRoleArgs, _ ACLRoleState,
		) (ACLRoleArgs, ACLRoleState, bool, error) {
			client, err := c.nomad(ctx)
			if err != nil {
				return inputs, ACLRoleState{}, false, err
			}
			role, _, err := client.ACLRoles().Get(id, query(ctx))
			if err != nil {
				return inputs, ACLRoleState{}, false, unlessGone(err)
			}
			live := ACLRoleArgs{
				Name:        role.Name,
				Description: native.Optional(inputs.Description, role.Description, ""),
				Policies:    liveRolePolicies(inputs.Policies, role.Policies),
			}
			return live, ACLRoleState{live}, true, nil
		},
		Update: func(ctx context.Context, id string, a ACLRoleArgs, _ ACLRoleState) (ACLRoleState, error) {
			client, err := c.nomad(ctx)
			if err != nil {
				return ACLRoleState{}, err
			}
			_, _, err = client.ACLRoles().Update(a.role(id), write(ctx))
			return ACLRoleState{a}, err
		},
		Delete: func(ctx context.Context, id string, _ ACLRoleState) error {
			client, err := c.nomad(ctx)
			if err != nil {
				return err
			}
			_, err = client.ACLRoles().Delete(id, write(ctx))
			return err
		},
	}
}
