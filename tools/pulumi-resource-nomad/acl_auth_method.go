package main

import (
	"context"

	"github.com/hashicorp/nomad/api"

	"hashistack/tools/native"
)

// ACLAuthMethodArgs are the inputs of an auth method; its id is its name.
type ACLAuthMethodArgs struct {
	Name            string              `pulumi:"name" provider:"replaceOnChanges"`
	Type            string              `pulumi:"type"`
	TokenLocality   string              `pulumi:"tokenLocality"`
	MaxTokenTTL     string              `pulumi:"maxTokenTtl"`
	TokenNameFormat *string             `pulumi:"tokenNameFormat,optional"`
	Default         *bool               `pulumi:"default,optional"`
	Config          ACLAuthMethodConfig `pulumi:"config"`
}

// ACLAuthMethodConfig is what the method's type needs.
type ACLAuthMethodConfig struct {
	JwtValidationPubKeys []string          `pulumi:"jwtValidationPubKeys,optional"`
	JwksURL              *string           `pulumi:"jwksUrl,optional"`
	JwksCaCert           *string           `pulumi:"jwksCaCert,optional"`
	OidcDiscoveryURL     *string           `pulumi:"oidcDiscoveryUrl,optional"`
	OidcClientID         *string           `pulumi:"oidcClientId,optional"`
	OidcClientSecret     *string           `pulumi:"oidcClientSecret,optional" provider:"secret"`
	OidcEnablePkce       *bool             `pulumi:"oidcEnablePkce,optional"`
	OidcDisableUserinfo  *bool             `pulumi:"oidcDisableUserinfo,optional"`
	OidcScopes           []string          `pulumi:"oidcScopes,optional"`
	BoundAudiences       []string          `pulumi:"boundAudiences,optional"`
	BoundIssuers         []string          `pulumi:"boundIssuers,optional"`
	AllowedRedirectUris  []string          `pulumi:"allowedRedirectUris,optional"`
	DiscoveryCaPems      []string          `pulumi:"discoveryCaPems,optional"`
	SigningAlgs          []string          `pulumi:"signingAlgs,optional"`
	ExpirationLeeway     *string           `pulumi:"expirationLeeway,optional"`
	NotBeforeLeeway      *string           `pulumi:"notBeforeLeeway,optional"`
	ClockSkewLeeway      *string           `pulumi:"clockSkewLeeway,optional"`
	ClaimMappings        map[string]string `pulumi:"claimMappings,optional"`
	ListClaimMappings    map[string]string `pulumi:"listClaimMappings,optional"`
	VerboseLogging       *bool             `pulumi:"verboseLogging,optional"`
}

// ACLAuthMethodState is what Nomad has.
type ACLAuthMethodState struct{ ACLAuthMethodArgs }

// defaultTokenName is Nomad's own.
const defaultTokenName = "${auth_method_type}-${auth_method_name}" //nolint:gosec // a template of a name

func (a ACLAuthMethodArgs) method() (*api.ACLAuthMethod, error) {
	ttl, err := parseDuration("maxTokenTtl", &a.MaxTokenTTL)
	if err != nil {
		return nil, err
	}
	config, err := a.Config.config()
	if err != nil {
		return nil, err
	}
	return &api.ACLAuthMethod{
		Name: a.Name, Type: a.Type, TokenLocality: a.TokenLocality, MaxTokenTTL: ttl,
		TokenNameFormat: native.OrElse(a.TokenNameFormat, defaultTokenName), Default: native.Value(a.Default),
		Config: config,
	}, nil
}

func (c ACLAuthMethodConfig) config() (*api.ACLAuthMethodConfig, error) {
	config := &api.ACLAuthMethodConfig{
		JWTValidationPubKeys: c.JwtValidationPubKeys,
		JWKSURL:              native.Value(c.JwksURL),
		JWKSCACert:           native.Value(c.JwksCaCert),
		OIDCDiscoveryURL:     native.Value(c.OidcDiscoveryURL),
		OIDCClientID:         native.Value(c.OidcClientID),
		OIDCClientSecret:     native.Value(c.OidcClientSecret),
		OIDCEnablePKCE:       native.Value(c.OidcEnablePkce),
		OIDCDisableUserInfo:  native.Value(c.OidcDisableUserinfo),
		OIDCScopes:           c.OidcScopes,
		BoundAudiences:       c.BoundAudiences,
		BoundIssuer:          c.BoundIssuers,
		AllowedRedirectURIs:  c.AllowedRedirectUris,
		DiscoveryCaPem:       c.DiscoveryCaPems,
		SigningAlgs:          c.SigningAlgs,
		ClaimMappings:        c.ClaimMappings,
		ListClaimMappings:    c.ListClaimMappings,
		VerboseLogging:       native.Value(c.VerboseLogging),
	}
	var err error
	if config.ExpirationLeeway, err = parseDuration("config.expirationLeeway", c.ExpirationLeeway); err != nil {
		return nil, err
	}
	if config.NotBeforeLeeway, err = parseDuration("config.notBeforeLeeway", c.NotBeforeLeeway); err != nil {
		return nil, err
	}
	if config.ClockSkewLeeway, err = parseDuration("config.clockSkewLeeway", c.ClockSkewLeeway); err != nil {
		return nil, err
	}
	return config, nil
}

// liveConfig returns the inputs that describe a config: the given ones while they say the same.
func liveConfig(given ACLAuthMethodConfig, live *api.ACLAuthMethodConfig) (ACLAuthMethodConfig, error) {
	if live == nil {
		live = &api.ACLAuthMethodConfig{}
	}
	if live.OIDCClientSecret != "" {
		live.OIDCClientSecret = native.Value(given.OidcClientSecret) // Nomad does not tell
	}
	if wanted, err := given.config(); err == nil {
		asked, err := native.Asked(wanted)
		if err != nil {
			return given, err
		}
		has, err := native.Asked(live)
		if err != nil {
			return given, err
		}
		if same, err := native.Covers(asked, has); err != nil {
			return given, err
		} else if back, err := native.Covers(has, asked); err != nil || same && back {
			return given, err
		}
	}
	optional := func(given *string, live string) *string { return native.Optional(given, live, "") }
	return ACLAuthMethodConfig{
		JwtValidationPubKeys: live.JWTValidationPubKeys,
		JwksURL:              optional(given.JwksURL, live.JWKSURL),
		JwksCaCert:           optional(given.JwksCaCert, live.JWKSCACert),
		OidcDiscoveryURL:     optional(given.OidcDiscoveryURL, live.OIDCDiscoveryURL),
		OidcClientID:         optional(given.OidcClientID, live.OIDCClientID),
		OidcClientSecret:     optional(given.OidcClientSecret, live.OIDCClientSecret),
		OidcEnablePkce:       native.Optional(given.OidcEnablePkce, live.OIDCEnablePKCE, false),
		OidcDisableUserinfo:  native.Optional(given.OidcDisableUserinfo, live.OIDCDisableUserInfo, false),
		OidcScopes:           live.OIDCScopes,
		BoundAudiences:       live.BoundAudiences,
		BoundIssuers:         live.BoundIssuer,
		AllowedRedirectUris:  live.AllowedRedirectURIs,
		DiscoveryCaPems:      live.DiscoveryCaPem,
		SigningAlgs:          live.SigningAlgs,
		ExpirationLeeway:     liveDuration(given.ExpirationLeeway, live.ExpirationLeeway),
		NotBeforeLeeway:      liveDuration(given.NotBeforeLeeway, live.NotBeforeLeeway),
		ClockSkewLeeway:      liveDuration(given.ClockSkewLeeway, live.ClockSkewLeeway),
		ClaimMappings:        live.ClaimMappings,
		ListClaimMappings:    live.ListClaimMappings,
		VerboseLogging:       native.Optional(given.VerboseLogging, live.VerboseLogging, false),
	}, nil
}

func aclAuthMethod(c *connection) native.Kind[ACLAuthMethodArgs, ACLAuthMethodState] {
	return native.Kind[ACLAuthMethodArgs, ACLAuthMethodState]{
		Module: "index/aclAuthMethod",
		Type:   "AclAuthMethod",
		Label:  func(a ACLAuthMethodArgs) string { return "ACL auth method " + a.Name },
		State:  func(a ACLAuthMethodArgs, _ ACLAuthMethodState) ACLAuthMethodState { return ACLAuthMethodState{a} },
		Create: func(ctx context.Context, a ACLAuthMethodArgs) (string, ACLAuthMethodState, error) {
			client, err := c.nomad(ctx)
			if err != nil {
				return "", ACLAuthMethodState{}, err
			}
			method, err := a.method()
			if err != nil {
				return "", ACLAuthMethodState{}, err
			}
			if _, _, err := client.ACLAuthMethods().Create(method, write(ctx)); err != nil {
				return "", ACLAuthMethodState{}, exists(err, "nomad:index/aclAuthMethod:AclAuthMethod")
			}
			return a.Name, ACLAuthMethodState{a}, nil
		},
		Read: func(
			ctx context.Context, id string, inputs ACLAuthMethodArgs, _ ACLAuthMethodState,
		) (ACLAuthMethodArgs, ACLAuthMethodState, bool, error) {
			client, err := c.nomad(ctx)
			if err != nil {
				return inputs, ACLAuthMethodState{}, false, err
			}
			method, _, err := client.ACLAuthMethods().Get(id, query(ctx))
			if err != nil {
				return inputs, ACLAuthMethodState{}, false, unlessGone(err)
			}
			config, err := liveConfig(inputs.Config, method.Config)
			live := ACLAuthMethodArgs{
				Name: method.Name, Type: method.Type, TokenLocality: method.TokenLocality,
				MaxTokenTTL:     *liveDuration(&inputs.MaxTokenTTL, method.MaxTokenTTL),
				TokenNameFormat: native.Optional(inputs.TokenNameFormat, method.TokenNameFormat, defaultTokenName),
				Default:         native.Optional(inputs.Default, method.Default, false),
				Config:          config,
			}
			return live, ACLAuthMethodState{live}, true, err
		},
		Update: func(
			ctx context.Context, _ string, a ACLAuthMethodArgs, _ ACLAuthMethodState,
		) (ACLAuthMethodState, error) {
			client, err := c.nomad(ctx)
			if err != nil {
				return ACLAuthMethodState{}, err
			}
			method, err := a.method()
			if err != nil {
				return ACLAuthMethodState{}, err
			}
			_, _, err = client.ACLAuthMethods().Update(method, write(ctx))
			return ACLAuthMethodState{a}, err
		},
		Delete: func(ctx context.Context, id string, _ ACLAuthMethodState) error {
			client, err := c.nomad(ctx)
			if err != nil {
				return err
			}
			_, err = client.ACLAuthMethods().Delete(id, write(ctx))
			return err
		},
	}
}
