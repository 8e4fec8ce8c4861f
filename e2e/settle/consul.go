package settle

import (
	"context"
	"fmt"
	"strings"

	consul "github.com/hashicorp/consul/api"
)

// findConsul looks for what a create made in Consul's ACL system: policies, roles and methods have unique names; rules
// and tokens would be made twice.
func findConsul(ctx context.Context, s *state, r resource) (orphan, error) {
	client, err := consulClient(s, r)
	if err != nil {
		return nil, err
	}
	acl := client.ACL()
	read, write := (&consul.QueryOptions{}).WithContext(ctx), (&consul.WriteOptions{}).WithContext(ctx)
	name := r.text("name")
	switch r.Type {
	case "consul:index/aclPolicy:AclPolicy":
		found, _, err := acl.PolicyReadByName(name, read)
		if err != nil || found == nil {
			return nil, missing(err)
		}
		return s.consulOrphan(r, "policy "+name, found.ID, func() error { _, err := acl.PolicyDelete(found.ID, write); return err })
	case "consul:index/aclRole:AclRole":
		found, _, err := acl.RoleReadByName(name, read)
		if err != nil || found == nil {
			return nil, missing(err)
		}
		return s.consulOrphan(r, "role "+name, found.ID, func() error { _, err := acl.RoleDelete(found.ID, write); return err })
	case "consul:index/aclAuthMethod:AclAuthMethod":
		found, _, err := acl.AuthMethodRead(name, read)
		if err != nil || found == nil {
			return nil, missing(err)
		}
		return s.consulOrphan(r, "auth method "+name, name, func() error { _, err := acl.AuthMethodDelete(name, write); return err })
	case "consul:index/aclBindingRule:AclBindingRule":
		rules, _, err := acl.BindingRuleList(r.text("authMethod"), read)
		if err != nil {
			return nil, missing(err)
		}
		for _, rule := range rules {
			if string(rule.BindType) == r.text("bindType") && rule.BindName == r.text("bindName") && rule.Selector == r.text("selector") &&
				!s.owns(rule.ID, r.Type) {
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
			if token.Description == r.text("description") && !s.owns(token.AccessorID, r.Type) {
				return s.consulOrphan(r, "token "+token.AccessorID, token.AccessorID,
					func() error { _, err := acl.TokenDelete(token.AccessorID, write); return err })
			}
		}
	}
	return nil, nil //nolint:nilnil // there is no orphan
}

func (s *state) consulOrphan(r resource, description, id string, remove func() error) (orphan, error) {
	if s.owns(id, r.Type) {
		return nil, nil //nolint:nilnil // it is another resource of the stack
	}
	return thing{"Consul's " + description, func(context.Context) error { return remove() }}, nil
}

// missing turns an error into nil if it only says that there is no such thing, which Consul does in two ways.
func missing(err error) error {
	if err != nil && (strings.Contains(err.Error(), "404") || strings.Contains(err.Error(), "ACL not found")) {
		return nil
	}
	return err
}

func consulClient(s *state, r resource) (*consul.Client, error) {
	provider, err := s.provider(r)
	if err != nil {
		return nil, err
	}
	config := consul.DefaultConfig()
	config.Address, config.Scheme, config.Token = provider.text("address"), provider.text("scheme"), provider.text("token")
	config.TLSConfig = consul.TLSConfig{CAPem: []byte(provider.text("caPem"))}
	client, err := consul.NewClient(config)
	if err != nil {
		return nil, fmt.Errorf("client of Consul: %w", err)
	}
	return client, nil
}
