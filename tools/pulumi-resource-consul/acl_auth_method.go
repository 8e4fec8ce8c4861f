package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"hashistack/tools/native"
)

// ACLAuthMethodArgs are the inputs of an auth method; its id is `auth-method-NAME`.
type ACLAuthMethodArgs struct {
	Name          string            `pulumi:"name" provider:"replaceOnChanges"`
	Type          string            `pulumi:"type" provider:"replaceOnChanges"`
	DisplayName   *string           `pulumi:"displayName,optional"`
	Description   *string           `pulumi:"description,optional"`
	MaxTokenTTL   *string           `pulumi:"maxTokenTtl,optional"`
	TokenLocality *string           `pulumi:"tokenLocality,optional"`
	Config        map[string]string `pulumi:"config,optional"`
	ConfigJSON    *string           `pulumi:"configJson,optional"`
}

// ACLAuthMethodState is what Consul has.
type ACLAuthMethodState struct{ ACLAuthMethodArgs }

// authMethodPrefix makes an id of a name.
const authMethodPrefix = "auth-method-"

func (a ACLAuthMethodArgs) method() (*api.ACLAuthMethod, error) {
	method := &api.ACLAuthMethod{
		Name: a.Name, Type: a.Type, DisplayName: native.Value(a.DisplayName), Description: native.Value(a.Description),
		TokenLocality: native.Value(a.TokenLocality), Config: map[string]any{},
	}
	if a.MaxTokenTTL != nil {
		ttl, err := time.ParseDuration(*a.MaxTokenTTL)
		if err != nil {
			return nil, fmt.Errorf("maxTokenTtl: must be a duration such as 30m: %w", err)
		}
		method.MaxTokenTTL = ttl
	}
	switch {
	case a.ConfigJSON != nil && a.Config != nil:
		return nil, errors.New("config and configJson exclude each other: keep configJson")
	case a.ConfigJSON != nil:
		if err := json.Unmarshal([]byte(*a.ConfigJSON), &method.Config); err != nil {
			return nil, fmt.Errorf("configJson: must be a JSON object: %w", err)
		}
	default:
		for k, v := range a.Config {
			method.Config[k] = v
		}
	}
	return method, nil
}

// liveMethod returns the inputs that describe an auth method.
func liveMethod(inputs ACLAuthMethodArgs, method *api.ACLAuthMethod) (ACLAuthMethodArgs, error) {
	live := ACLAuthMethodArgs{
		Name: method.Name, Type: method.Type,
		DisplayName:   native.Optional(inputs.DisplayName, method.DisplayName, ""),
		Description:   native.Optional(inputs.Description, method.Description, ""),
		TokenLocality: native.Optional(inputs.TokenLocality, method.TokenLocality, ""),
		MaxTokenTTL:   inputs.MaxTokenTTL,
		Config:        inputs.Config,
		ConfigJSON:    inputs.ConfigJSON,
	}
	if ttl, err := time.ParseDuration(native.OrElse(inputs.MaxTokenTTL, "0s")); err != nil || ttl != method.MaxTokenTTL {
		text := method.MaxTokenTTL.String()
		live.MaxTokenTTL = &text
	}
	var given map[string]any
	if wanted, err := inputs.method(); err == nil {
		given = wanted.Config
	}
	if same, err := native.Covers(method.Config, given); err != nil || !same || given == nil {
		text, err := json.Marshal(method.Config)
		if err != nil {
			return live, fmt.Errorf("encode the live config of auth method %s: %w", method.Name, err)
		}
		document := string(text)
		live.Config, live.ConfigJSON = nil, &document
	}
	return live, nil
}

func aclAuthMethod(c *connection) native.Kind[ACLAuthMethodArgs, ACLAuthMethodState] {
	return native.Kind[ACLAuthMethodArgs, ACLAuthMethodState]{
		Module: "index/aclAuthMethod",
		Type:   "AclAuthMethod",
		Label:  func(a ACLAuthMethodArgs) string { return "ACL auth method " + a.Name },
		State:  func(a ACLAuthMethodArgs, _ ACLAuthMethodState) ACLAuthMethodState { return ACLAuthMethodState{a} },
		Create: func(ctx context.Context, a ACLAuthMethodArgs) (string, ACLAuthMethodState, error) {
			client, err := c.consul(ctx)
			if err != nil {
				return "", ACLAuthMethodState{}, err
			}
			method, err := a.method()
			if err != nil {
				return "", ACLAuthMethodState{}, err
			}
			if _, _, err := client.ACL().AuthMethodCreate(method, write(ctx)); err != nil {
				return "", ACLAuthMethodState{}, exists(err, "consul:index/aclAuthMethod:AclAuthMethod")
			}
			return authMethodPrefix + a.Name, ACLAuthMethodState{a}, nil
		},
		Read: func(
			ctx context.Context, id string, inputs ACLAuthMethodArgs, _ ACLAuthMethodState,
		) (ACLAuthMethodArgs, ACLAuthMethodState, bool, error) {
			client, err := c.consul(ctx)
			if err != nil {
				return inputs, ACLAuthMethodState{}, false, err
			}
			method, _, err := client.ACL().AuthMethodRead(strings.TrimPrefix(id, authMethodPrefix), query(ctx))
			if err != nil || method == nil {
				return inputs, ACLAuthMethodState{}, false, unlessGone(ctx, client, err)
			}
			live, err := liveMethod(inputs, method)
			return live, ACLAuthMethodState{live}, true, err
		},
		Update: func(
			ctx context.Context, _ string, a ACLAuthMethodArgs, _ ACLAuthMethodState,
		) (ACLAuthMethodState, error) {
			client, err := c.consul(ctx)
			if err != nil {
				return ACLAuthMethodState{}, err
			}
			method, err := a.method()
			if err != nil {
				return ACLAuthMethodState{}, err
			}
			_, _, err = client.ACL().AuthMethodUpdate(method, write(ctx))
			return ACLAuthMethodState{a}, err
		},
		Delete: func(ctx context.Context, id string, _ ACLAuthMethodState) error {
			client, err := c.consul(ctx)
			if err != nil {
				return err
			}
			_, err = client.ACL().AuthMethodDelete(strings.TrimPrefix(id, authMethodPrefix), write(ctx))
			return err
		},
	}
}
