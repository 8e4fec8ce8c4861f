package main

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/consul/api"

	"hashistack/tools/native"
)

// ACLTokenArgs are the inputs of an ACL token; its id is the accessor id. Policies and roles are names. The secret id
// is not part of the state, as in the official plugin.
type ACLTokenArgs struct {
	AccessorID        *string           `pulumi:"accessorId,optional" provider:"replaceOnChanges"`
	Description       *string           `pulumi:"description,optional"`
	Policies          []string          `pulumi:"policies,optional"`
	Roles             []string          `pulumi:"roles,optional"`
	ServiceIdentities []ServiceIdentity `pulumi:"serviceIdentities,optional"`
	NodeIdentities    []NodeIdentity    `pulumi:"nodeIdentities,optional"`
	TemplatedPolicies []TemplatedPolicy `pulumi:"templatedPolicies,optional"`
	Local             *bool             `pulumi:"local,optional" provider:"replaceOnChanges"`
	ExpirationTime    *string           `pulumi:"expirationTime,optional" provider:"replaceOnChanges"`
}

// ACLTokenState is what Consul has.
type ACLTokenState struct {
	AccessorID        string            `pulumi:"accessorId"`
	Description       *string           `pulumi:"description,optional"`
	Policies          []string          `pulumi:"policies,optional"`
	Roles             []string          `pulumi:"roles,optional"`
	ServiceIdentities []ServiceIdentity `pulumi:"serviceIdentities,optional"`
	NodeIdentities    []NodeIdentity    `pulumi:"nodeIdentities,optional"`
	TemplatedPolicies []TemplatedPolicy `pulumi:"templatedPolicies,optional"`
	Local             *bool             `pulumi:"local,optional"`
	ExpirationTime    *string           `pulumi:"expirationTime,optional"`
}

// state returns the state for inputs of a token, whose accessor id Consul chooses when the program does not.
func (a ACLTokenArgs) state(accessor string) ACLTokenState {
	return ACLTokenState{
		AccessorID: native.OrElse(a.AccessorID, accessor), Description: a.Description,
		Policies: a.Policies, Roles: a.Roles, ServiceIdentities: a.ServiceIdentities,
		NodeIdentities: a.NodeIdentities, TemplatedPolicies: a.TemplatedPolicies,
		Local: a.Local, ExpirationTime: a.ExpirationTime,
	}
}

func (a ACLTokenArgs) token(accessor string) (*api.ACLToken, error) {
	token := &api.ACLToken{
		AccessorID: native.OrElse(a.AccessorID, accessor), Description: native.Value(a.Description),
		Local:             native.Value(a.Local),
		ServiceIdentities: serviceIdentities(a.ServiceIdentities),
		NodeIdentities:    nodeIdentities(a.NodeIdentities),
		TemplatedPolicies: templatedPolicies(a.TemplatedPolicies),
	}
	for _, policy := range a.Policies {
		token.Policies = append(token.Policies, &api.ACLTokenPolicyLink{Name: policy})
	}
	for _, role := range a.Roles {
		token.Roles = append(token.Roles, &api.ACLTokenRoleLink{Name: role})
	}
	if a.ExpirationTime != nil {
		t, err := time.Parse(time.RFC3339, *a.ExpirationTime)
		if err != nil {
			return nil, fmt.Errorf("expirationTime: must be an RFC 3339 time such as 2006-01-02T15:04:05Z: %w", err)
		}
		token.ExpirationTime = &t
	}
	return token, nil
}

// liveToken returns the inputs that describe a token.
func liveToken(inputs ACLTokenArgs, token *api.ACLToken) ACLTokenArgs {
	var policies, roles []string
	for _, link := range token.Policies {
		policies = append(policies, link.Name)
	}
	for _, link := range token.Roles {
		roles = append(roles, link.Name)
	}
	live := ACLTokenArgs{
		AccessorID:        inputs.AccessorID,
		Description:       native.Optional(inputs.Description, token.Description, ""),
		Policies:          native.Set(inputs.Policies, policies),
		Roles:             native.Set(inputs.Roles, roles),
		ServiceIdentities: native.List(inputs.ServiceIdentities, liveServices(token.ServiceIdentities)),
		NodeIdentities:    native.List(inputs.NodeIdentities, liveNodes(token.NodeIdentities)),
		TemplatedPolicies: native.List(inputs.TemplatedPolicies, liveTemplated(token.TemplatedPolicies)),
		Local:             native.Optional(inputs.Local, token.Local, false),
		ExpirationTime:    inputs.ExpirationTime,
	}
	if token.ExpirationTime != nil {
		given, err := time.Parse(time.RFC3339, native.Value(inputs.ExpirationTime))
		if err != nil || !given.Equal(*token.ExpirationTime) {
			text := token.ExpirationTime.Format(time.RFC3339)
			live.ExpirationTime = &text
		}
	}
	return live
}

func aclToken(c *connection) native.Kind[ACLTokenArgs, ACLTokenState] {
	return native.Kind[ACLTokenArgs, ACLTokenState]{
		Module: "index/aclToken",
		Type:   "AclToken",
		Label: func(a ACLTokenArgs) string {
			return fmt.Sprintf("ACL token %q", native.OrElse(a.Description, native.Value(a.AccessorID)))
		},
		State: func(a ACLTokenArgs, old ACLTokenState) ACLTokenState { return a.state(old.AccessorID) },
		Create: func(ctx context.Context, a ACLTokenArgs) (string, ACLTokenState, error) {
			client, err := c.consul(ctx)
			if err != nil {
				return "", ACLTokenState{}, err
			}
			token, err := a.token("")
			if err != nil {
				return "", ACLTokenState{}, err
			}
			created, _, err := client.ACL().TokenCreate(token, write(ctx))
			if err != nil {
				return "", ACLTokenState{}, exists(err, "consul:index/aclToken:AclToken")
			}
			return created.AccessorID, a.state(created.AccessorID), nil
		},
		Read: func(
			ctx context.Context, id string, inputs ACLTokenArgs, _ ACLTokenState,
		) (ACLTokenArgs, ACLTokenState, bool, error) {
			client, err := c.consul(ctx)
			if err != nil {
				return inputs, ACLTokenState{}, false, err
			}
			token, _, err := client.ACL().TokenRead(id, query(ctx))
			if err != nil {
				return inputs, ACLTokenState{}, false, unlessGone(ctx, client, err)
			}
			live := liveToken(inputs, token)
			return live, live.state(token.AccessorID), true, nil
		},
		Update: func(ctx context.Context, id string, a ACLTokenArgs, _ ACLTokenState) (ACLTokenState, error) {
			client, err := c.consul(ctx)
			if err != nil {
				return ACLTokenState{}, err
			}
			token, err := a.token(id)
			if err != nil {
				return ACLTokenState{}, err
			}
			_, _, err = client.ACL().TokenUpdate(token, write(ctx))
			return a.state(id), err
		},
		Delete: func(ctx context.Context, id string, _ ACLTokenState) error {
			client, err := c.consul(ctx)
			if err != nil {
				return err
			}
			_, err = client.ACL().TokenDelete(id, write(ctx))
			return err
		},
	}
}
