package main

import (
	"context"

	"github.com/hashicorp/nomad/api"

	"hashistack/tools/native"
)

// ACLPolicyArgs are the inputs of an ACL policy; its id is its name. Creation takes over a policy of that name.
type ACLPolicyArgs struct {
	Name        string  `pulumi:"name" provider:"replaceOnChanges"`
	Description *string `pulumi:"description,optional"`
	RulesHcl    string  `pulumi:"rulesHcl"`
	JobACL      *JobACL `pulumi:"jobAcl,optional"`
}

// JobACL is the workload identity that a policy applies to.
type JobACL struct {
	Namespace *string `pulumi:"namespace,optional"`
	JobID     string  `pulumi:"jobId"`
	Group     *string `pulumi:"group,optional"`
	Task      *string `pulumi:"task,optional"`
}

// ACLPolicyState is what Nomad has.
type ACLPolicyState struct{ ACLPolicyArgs }

func (a ACLPolicyArgs) policy() *api.ACLPolicy {
	policy := &api.ACLPolicy{Name: a.Name, Description: native.Value(a.Description), Rules: a.RulesHcl}
	if a.JobACL != nil {
		policy.JobACL = &api.JobACL{
			Namespace: native.OrElse(a.JobACL.Namespace, api.DefaultNamespace), JobID: a.JobACL.JobID,
			Group: native.Value(a.JobACL.Group), Task: native.Value(a.JobACL.Task),
		}
	}
	return policy
}

func aclPolicy(c *connection) native.Kind[ACLPolicyArgs, ACLPolicyState] {
	upsert := func(ctx context.Context, a ACLPolicyArgs) error {
		client, err := c.nomad(ctx)
		if err != nil {
			return err
		}
		_, err = client.ACLPolicies().Upsert(a.policy(), write(ctx))
		return err
	}
	return native.Kind[ACLPolicyArgs, ACLPolicyState]{
		Module: "index/aclPolicy",
		Type:   "AclPolicy",
		Label:  func(a ACLPolicyArgs) string { return "ACL policy " + a.Name },
		State:  func(a ACLPolicyArgs, _ ACLPolicyState) ACLPolicyState { return ACLPolicyState{a} },
		Create: func(ctx context.Context, a ACLPolicyArgs) (string, ACLPolicyState, error) {
			if err := upsert(ctx, a); err != nil {
				return "", ACLPolicyState{}, err
			}
			return a.Name, ACLPolicyState{a}, nil
		},
		Read: func(
			ctx context.Context, id string, inputs ACLPolicyArgs, _ ACLPolicyState,
		) (ACLPolicyArgs, ACLPolicyState, bool, error) {
			client, err := c.nomad(ctx)
			if err != nil {
				return inputs, ACLPolicyState{}, false, err
			}
			policy, _, err := client.ACLPolicies().Info(id, query(ctx))
			if err != nil {
				return inputs, ACLPolicyState{}, false, unlessGone(err)
			}
			live := ACLPolicyArgs{
				Name: policy.Name, RulesHcl: policy.Rules,
				Description: native.Optional(inputs.Description, policy.Description, ""),
			}
			if acl := policy.JobACL; acl != nil && acl.JobID != "" {
				given := native.Value(inputs.JobACL)
				live.JobACL = &JobACL{
					JobID:     acl.JobID,
					Namespace: native.Optional(given.Namespace, acl.Namespace, api.DefaultNamespace),
					Group:     native.Optional(given.Group, acl.Group, ""),
					Task:      native.Optional(given.Task, acl.Task, ""),
				}
			}
			return live, ACLPolicyState{live}, true, nil
		},
		Update: func(ctx context.Context, _ string, a ACLPolicyArgs, _ ACLPolicyState) (ACLPolicyState, error) {
			return ACLPolicyState{a}, upsert(ctx, a)
		},
		Delete: func(ctx context.Context, id string, _ ACLPolicyState) error {
			client, err := c.nomad(ctx)
			if err != nil {
				return err
			}
			_, err = client.ACLPolicies().Delete(id, write(ctx))
			return err
		},
	}
}
