package main

import (
	"context"
	"time"

	"github.com/hashicorp/nomad/api"

	"hashistack/tools/native"
)

// ACLTokenArgs are the inputs of an ACL token; its id is the accessor id.
type ACLTokenArgs struct {
	Type          string         `pulumi:"type"`
	Name          string         `pulumi:"name"`
	Policies      []string       `pulumi:"policies,optional"`
	Roles         []ACLTokenRole `pulumi:"roles,optional"`
	Global        *bool          `pulumi:"global,optional" provider:"replaceOnChanges"`
	ExpirationTTL *string        `pulumi:"expirationTtl,optional" provider:"replaceOnChanges"`
}

// ACLTokenRole is a role by id. Its name is the role's, and only read.
type ACLTokenRole struct {
	ID   string  `pulumi:"id"`
	Name *string `pulumi:"name,optional"`
}

// ACLTokenState is what Nomad has.
type ACLTokenState struct {
	ACLTokenArgs
	AccessorID     string `pulumi:"accessorId"`
	SecretID       string `pulumi:"secretId" provider:"secret"`
	CreateTime     string `pulumi:"createTime"`
	ExpirationTime string `pulumi:"expirationTime"`
}

func (a ACLTokenArgs) token(accessor string) (*api.ACLToken, error) {
	ttl, err := parseDuration("expirationTtl", a.ExpirationTTL)
	if err != nil {
		return nil, err
	}
	token := &api.ACLToken{
		AccessorID: accessor, Name: a.Name, Type: a.Type, Policies: a.Policies, Global: native.Value(a.Global),
		ExpirationTTL: ttl, // an update must repeat it
	}
	for _, role := range a.Roles {
		token.Roles = append(token.Roles, &api.ACLTokenRoleLink{ID: role.ID})
	}
	return token, nil
}

// tokenState returns the state of a token, whose secret Nomad tells to those with the right to list tokens.
func tokenState(a ACLTokenArgs, token *api.ACLToken) ACLTokenState {
	s := ACLTokenState{
		ACLTokenArgs: a, AccessorID: token.AccessorID, SecretID: token.SecretID,
		CreateTime: token.CreateTime.UTC().Format(time.RFC3339),
	}
	if token.ExpirationTime != nil {
		s.ExpirationTime = token.ExpirationTime.UTC().Format(time.RFC3339)
	}
	return s
}

// liveTokenRoles returns the roles of a token, in the order of the inputs while they are the same.
func liveTokenRoles(inputs []ACLTokenRole, links []*api.ACLTokenRoleLink) []ACLTokenRole {
	var given, live []string
	var out []ACLTokenRole
	for _, role := range inputs {
		given = append(given, role.ID)
	}
	for _, link := range links {
		live = append(live, link.ID)
		out = append(out, ACLTokenRole{ID: link.ID})
	}
	if native.SameSet(given, live) {
		return inputs
	}
	return out
}

func aclToken(c *connection) native.Kind[ACLTokenArgs, ACLTokenState] {
	return native.Kind[ACLTokenArgs, ACLTokenState]{
		Module: "index/aclToken",
		Type:   "AclToken",
		Label:  func(a ACLTokenArgs) string { return "ACL token " + a.Name },
		State: func(a ACLTokenArgs, old ACLTokenState) ACLTokenState {
			old.ACLTokenArgs = a
			return old
		},
		Create: func(ctx context.Context, a ACLTokenArgs) (string, ACLTokenState, error) {
			client, err := c.nomad(ctx)
			if err != nil {
				return "", ACLTokenState{}, err
			}
			token, err := a.token("")
			if err != nil {
				return "", ACLTokenState{}, err
			}
			created, _, err := client.ACLTokens().Create(token, write(ctx))
			if err != nil {
				return "", ACLTokenState{}, err
			}
			return created.AccessorID, tokenState(a, created), nil
		},
		Read: func(
			ctx context.Context, id string, inputs ACLTokenArgs, _ ACLTokenState,
		) (ACLTokenArgs, ACLTokenState, bool, error) {
			client, err := c.nomad(ctx)
			if err != nil {
				return inputs, ACLTokenState{}, false, err
			}
			token, _, err := client.ACLTokens().Info(id, query(ctx))
			if err != nil {
				return inputs, ACLTokenState{}, false, unlessGone(err)
			}
			live := ACLTokenArgs{
				Type: token.Type, Name: token.Name,
				Policies:      native.Set(inputs.Policies, token.Policies),
				Roles:         liveTokenRoles(inputs.Roles, token.Roles),
				Global:        native.Optional(inputs.Global, token.Global, false),
				ExpirationTTL: inputs.ExpirationTTL, // Nomad keeps the time only
			}
			return live, tokenState(live, token), true, nil
		},
		Update: func(ctx context.Context, id string, a ACLTokenArgs, _ ACLTokenState) (ACLTokenState, error) {
			client, err := c.nomad(ctx)
			if err != nil {
				return ACLTokenState{}, err
			}
			token, err := a.token(id)
			if err != nil {
				return ACLTokenState{}, err
			}
			updated, _, err := client.ACLTokens().Update(token, write(ctx))
			if err != nil {
				return ACLTokenState{}, err
			}
			return tokenState(a, updated), nil
		},
		Delete: func(ctx context.Context, id string, _ ACLTokenState) error {
			client, err := c.nomad(ctx)
			if err != nil {
				return err
			}
			_, err = client.ACLTokens().Delete(id, write(ctx))
			return err
		},
	}
}
