package main

import (
	"context"

	"github.com/hashicorp/consul/api"

	"hashistack/tools/native"
)

// ACLRoleArgs are the inputs of an ACL role; its id is the role's. Policies are ids.
type ACLRoleArgs struct {
	Name              string            `pulumi:"name"`
	Description       *string           `pulumi:"description,optional"`
	Policies          []string          `pulumi:"policies,optional"`
	ServiceIdentities []ServiceIdentity `pulumi:"serviceIdentities,optional"`
	NodeIdentities    []NodeIdentity    `pulumi:"nodeIdentities,optional"`
	TemplatedPolicies []TemplatedPolicy `pulumi:"templatedPolicies,optional"`
}

// ACLRoleState is what Consul has.
type ACLRoleState struct{ ACLRoleArgs }

func (a ACLRoleArgs) role(id string) *api.ACLRole {
	role := &api.ACLRole{
		ID: id, Name: a.Name, Description: native.Value(a.Description),
		ServiceIdentities: serviceIdentities(a.ServiceIdentities),
		NodeIdentities:    nodeIdentities(a.NodeIdentities),
		TemplatedPolicies: templatedPolicies(a.TemplatedPolicies),
	}
	for _, policy := range a.Policies {
		role.Policies = append(role.Policies, &api.ACLRolePolicyLink{ID: policy})
	}
	return role
}

func aclRole(c *connection) native.Kind[ACLRoleArgs, ACLRoleState] {
	return native.Kind[ACLRoleArgs, ACLRoleState]{
		Module: "index/aclRole",
		Type:   "AclRole",
		Label:  func(a ACLRoleArgs) string { return "ACL role " + a.Name },
		State:  func(a ACLRoleArgs, _ ACLRoleState) ACLRoleState { return ACLRoleState{a} },
		Create: func(ctx context.Context, a ACLRoleArgs) (string, ACLRoleState, error) {
			client, err := c.consul(ctx)
			if err != nil {
				return "", ACLRoleState{}, err
			}
			role, _, err := client.ACL().RoleCreate(a.role(""), write(ctx))
			if err != nil {
				return "", ACLRoleState{}, exists(err, "consul:index/aclRole:AclRole")
			}
			return role.ID, ACLRoleState{a}, nil
		},
		Read: func(
			ctx context.Context, id string, inputs ACLRoleArgs, _ ACLRoleState,
		) (ACLRoleArgs, ACLRoleState, bool, error) {
			client, err := c.consul(ctx)
			if err != nil {
				return inputs, ACLRoleState{}, false, err
			}
			role, _, err := client.ACL().RoleRead(id, query(ctx))
			if err != nil || role == nil {
				return inputs, ACLRoleState{}, false, unlessGone(ctx, client, err)
			}
			var policies []string
			for _, link := range role.Policies {
				policies = append(policies, link.ID)
			}
			live := ACLRoleArgs{
				Name:              role.Name,
				Description:       native.Optional(inputs.Description, role.Description, ""),
				Policies:          native.Set(inputs.Policies, policies),
				ServiceIdentities: native.List(inputs.ServiceIdentities, liveServices(role.ServiceIdentities)),
				NodeIdentities:    native.List(inputs.NodeIdentities, liveNodes(role.NodeIdentities)),
				TemplatedPolicies: native.List(inputs.TemplatedPolicies, liveTemplated(role.TemplatedPolicies)),
			}
			return live, ACLRoleState{live}, true, nil
		},
		Update: func(ctx context.Context, id string, a ACLRoleArgs, _ ACLRoleState) (ACLRoleState, error) {
			client, err := c.consul(ctx)
			if err != nil {
				return ACLRoleState{}, err
			}
			_, _, err = client.ACL().RoleUpdate(a.role(id), write(ctx))
			return ACLRoleState{a}, err
		},
		Delete: func(ctx context.Context, id string, _ ACLRoleState) error {
			client, err := c.consul(ctx)
			if err != nil {
				return err
			}
			_, err = client.ACL().RoleDelete(id, write(ctx))
			return err
		},
	}
}
