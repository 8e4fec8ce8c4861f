package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	consul "github.com/hashicorp/consul/api"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

// findConsul looks for what a create made in Consul's ACL system: policies, roles and methods have unique names; rules
// and tokens would be made twice.
func findConsul(ctx context.Context, s *state, r apitype.ResourceV3) (orphan, error) {
	client, err := consulClient(s, r)
	if err != nil {
		return nil, err
	}
	acl := client.ACL()
	read, write := (&consul.QueryOptions{}).WithContext(ctx), (&consul.WriteOptions{}).WithContext(ctx)
	name := text(r, "name")
	switch kind := string(r.Type); kind {
	case "consul:index/aclPolicy:AclPolicy":
		found, _, err := acl.PolicyReadByName(name, read)
		if err != nil || found == nil {
			return nil, unlessMissing(ctx, client, err)
		}
		return s.consulOrphan(r, "policy "+name, found.ID, func() error { _, err := acl.PolicyDelete(found.ID, write); return err })
	case "consul:index/aclRole:AclRole":
		found, _, err := acl.RoleReadByName(name, read)
		if err != nil || found == nil {
			return nil, unlessMissing(ctx, client, err)
		}
		return s.consulOrphan(r, "role "+name, found.ID, func() error { _, err := acl.RoleDelete(found.ID, write); return err })
	case "consul:index/aclAuthMethod:AclAuthMethod":
		found, _, err := acl.AuthMethodRead(name, read)
		if err != nil || found == nil {
			return nil, unlessMissing(ctx, client, err)
		}
		return s.consulOrphan(r, "auth method "+name, name, func() error { _, err := acl.AuthMethodDelete(name, write); return err })
	case "consul:index/aclBindingRule:AclBindingRule":
		rules, _, err := acl.BindingRuleList(text(r, "authMethod"), read)
		if err != nil {
			return nil, unlessMissing(ctx, client, err)
		}
		for _, rule := range rules {
			if string(rule.BindType) == text(r, "bindType") && rule.BindName == text(r, "bindName") && rule.Selector == text(r, "selector") &&
				!s.owns(rule.ID, kind) {
				return s.consulOrphan(r, "binding rule of "+rule.AuthMethod, rule.ID,
					func() error { _, err := acl.BindingRuleDelete(rule.ID, write); return err })
			}
		}
	case "consul:index/aclToken:AclToken":
		tokens, _, err := acl.TokenList(read)
		if err != nil {
			return nil, err
		}
		for _, token := range tokens {
			if token.Description == text(r, "description") && !s.owns(token.AccessorID, kind) {
				return s.consulOrphan(r, "token "+token.AccessorID, token.AccessorID,
					func() error { _, err := acl.TokenDelete(token.AccessorID, write); return err })
			}
		}
	}
	return nil, nil //nolint:nilnil // there is no orphan
}

func (s *state) consulOrphan(r apitype.ResourceV3, description, id string, remove func() error) (orphan, error) {
	if s.owns(id, string(r.Type)) {
		return nil, nil //nolint:nilnil // it is another resource of the stack
	}
	return thing{"Consul's " + description, func(context.Context) error { return remove() }}, nil
}

// unlessMissing turns an error into nil if it only says that there is no such thing. Consul says "ACL not found" of that,
// and also when it does not know our token: then nothing is known, and nothing may be forgotten.
func unlessMissing(ctx context.Context, client *consul.Client, err error) error {
	var status consul.StatusError
	if !errors.As(err, &status) {
		return err
	}
	if status.Code == http.StatusNotFound {
		return nil
	}
	if status.Code == http.StatusForbidden && strings.Contains(status.Body, "ACL not found") {
		if _, _, self := client.ACL().TokenReadSelf((&consul.QueryOptions{}).WithContext(ctx)); self == nil {
			return nil
		}
		return fmt.Errorf("%w: Consul does not know the token that the state has for it", err)
	}
	return err
}

func consulClient(s *state, r apitype.ResourceV3) (*consul.Client, error) {
	provider, err := s.provider(r)
	if err != nil {
		return nil, err
	}
	config := consul.DefaultConfig()
	config.Address, config.Scheme, config.Token = text(provider, "address"), text(provider, "scheme"), text(provider, "token")
	config.TLSConfig = consul.TLSConfig{CAPem: []byte(text(provider, "caPem"))}
	client, err := consul.NewClient(config)
	if err != nil {
		return nil, fmt.Errorf("client of Consul: %w", err)
	}
	return client, nil
}
