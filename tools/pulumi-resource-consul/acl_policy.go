package main

import (
	"context"

	"github.com/hashicorp/consul/api"

	"hashistack/tools/native"
)

// ACLPolicyArgs are the inputs of an ACL policy; its id is the policy's.
type ACLPolicyArgs struct {
	Name        string   `pulumi:"name"`
	Description *string  `pulumi:"description,optional"`
	Rules       string   `pulumi:"rules"`
	Datacenters []string `pulumi:"datacenters,optional"`
}

// ACLPolicyState is what Consul has.
type ACLPolicyState struct{ ACLPolicyArgs }

func (a ACLPolicyArgs) policy(id string) *api.ACLPolicy {
	return &api.ACLPolicy{
		ID: id, Name: a.Name, Description: native.Value(a.Description), Rules: a.Rules, Datacenters: a.Datacenters,
	}
}

func aclPolicy(c *connection) native.Kind[ACLPolicyArgs, ACLPolicyState] {
	return native.Kind[ACLPolicyArgs, ACLPolicyState]{
		Module: "index/aclPolicy",
		Type:   "AclPolicy",
		Label:  func(a ACLPolicyArgs) string { return "ACL policy " + a.Name },
		State:  func(a ACLPolicyArgs, _ ACLPolicyState) ACLPolicyState { return ACLPolicyState{a} },
		Create: func(ctx context.Context, a ACLPolicyArgs) (string, ACLPolicyState, error) {
			client, err := c.consul(ctx)
			if err != nil {
				return "", ACLPolicyState{}, err
			}
			policy, _, err := client.ACL().PolicyCreate(a.policy(""), write(ctx))
			if err != nil {
				return "", ACLPolicyState{}, exists(err, "consul:index/aclPolicy:AclPolicy")
			}
			return policy.ID, ACLPolicyState{a}, nil
		},
		Read: func(
			ctx context.Context, id string, inputs ACLPolicyArgs, _ ACLPolicyState,
		) (ACLPolicyArgs, ACLPolicyState, bool, error) {
			client, err := c.consul(ctx)
			if err != nil {
				return inputs, ACLPolicyState{}, false, err
			}
			policy, _, err := client.ACL().PolicyRead(id, query(ctx))
			if err != nil {
				return inputs, ACLPolicyState{}, false, unlessGone(ctx, client, err)
			}
			live := ACLPolicyArgs{
				Name:        policy.Name,
				Description: native.Optional(inputs.Description, policy.Description, ""),
				Rules:       policy.Rules,
				Datacenters: native.Set(inputs.Datacenters, policy.Datacenters),
			}
			return live, ACLPolicyState{live}, true, nil
		},
		Update: func(
			ctx context.Context, id string, a ACLPolicyArgs, _ ACLPolicyState,
		) (ACLPolicyState, error) {
			client, err := c.consul(ctx)
			if err != nil {
				return ACLPolicyState{}, err
			}
			_, _, err = client.ACL().PolicyUpdate(a.policy(id), write(ctx))
			return ACLPolicyState{a}, err
		},
		Delete: func(ctx context.Context, id string, _ ACLPolicyState) error {
			client, err := c.consul(ctx)
			if err != nil {
				return err
			}
			_, err = client.ACL().PolicyDelete(id, write(ctx))
			return err
		},
	}
}
