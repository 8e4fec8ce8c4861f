package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/hashicorp/consul/api"
	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"

	"hashistack/tools/native"
)

// newProvider returns the provider with the tokens of the official plugin.
func newProvider() (p.Provider, error) {
	c := &connection{}
	inner, err := infer.NewProviderBuilder().
		WithConfig(infer.Config(Config{})).
		WithResources(
			aclPolicy(c).Resource(), aclRole(c).Resource(), aclToken(c).Resource(),
			aclAuthMethod(c).Resource(), aclBindingRule(c).Resource(),
			configEntry(c).Resource(),
		).
		Build()
	if err != nil {
		return p.Provider{}, fmt.Errorf("describe the consul provider: %w", err)
	}
	return native.Wrap(inner, native.Options{
		Config: Config{},
		Autonamed: []string{
			"consul:index/aclPolicy:AclPolicy", "consul:index/aclRole:AclRole",
			"consul:index/aclAuthMethod:AclAuthMethod", "consul:index/configEntry:ConfigEntry",
		},
	}), nil
}

// Config is the provider's config. What is left out is taken from Consul's environment variables (CONSUL_HTTP_ADDR and
// so on), except that certificates are always verified.
type Config struct {
	Address    *string  `pulumi:"address,optional"`
	Scheme     *string  `pulumi:"scheme,optional"`
	Datacenter *string  `pulumi:"datacenter,optional"`
	Token      *string  `pulumi:"token,optional" provider:"secret"`
	HTTPAuth   *string  `pulumi:"httpAuth,optional" provider:"secret"`
	CaFile     *string  `pulumi:"caFile,optional"`
	CaPath     *string  `pulumi:"caPath,optional"`
	CaPem      *string  `pulumi:"caPem,optional"`
	CertFile   *string  `pulumi:"certFile,optional"`
	CertPem    *string  `pulumi:"certPem,optional"`
	KeyFile    *string  `pulumi:"keyFile,optional"`
	KeyPem     *string  `pulumi:"keyPem,optional" provider:"secret"`
	Headers    []Header `pulumi:"headers,optional" provider:"secret"`
}

// Header is an additional header of every request.
type Header struct {
	Name  string `pulumi:"name"`
	Value string `pulumi:"value"`
}

// client connects to Consul.
func (c Config) client() (*api.Client, error) {
	config := api.DefaultConfig()
	set(&config.Address, c.Address)
	set(&config.Scheme, c.Scheme)
	set(&config.Datacenter, c.Datacenter)
	set(&config.Token, c.Token)
	if c.HTTPAuth != nil {
		name, password, _ := strings.Cut(*c.HTTPAuth, ":")
		config.HttpAuth = &api.HttpBasicAuth{Username: name, Password: password}
	}
	tls := &config.TLSConfig
	tls.InsecureSkipVerify = false
	if c.CaFile != nil || c.CaPath != nil || c.CaPem != nil {
		tls.CAFile, tls.CAPath, tls.CAPem = native.Value(c.CaFile), native.Value(c.CaPath), []byte(native.Value(c.CaPem))
	}
	if c.CertFile != nil || c.CertPem != nil {
		tls.CertFile, tls.CertPEM = native.Value(c.CertFile), []byte(native.Value(c.CertPem))
		tls.KeyFile, tls.KeyPEM = native.Value(c.KeyFile), []byte(native.Value(c.KeyPem))
	}
	var err error
	// Give it an HTTP client of ours: the one that the library makes turns verification off if the environment says so.
	if config.HttpClient, err = api.NewHttpClient(config.Transport, *tls); err != nil {
		return nil, fmt.Errorf("set up TLS for Consul at %s: %w", config.Address, err)
	}
	client, err := api.NewClient(config)
	if err != nil {
		return nil, fmt.Errorf("set up the client for Consul at %s: %w", config.Address, err)
	}
	headers := client.Headers()
	if headers == nil {
		headers = http.Header{}
	}
	for _, h := range c.Headers {
		headers.Add(h.Name, h.Value)
	}
	client.SetHeaders(headers)
	return client, nil
}

func set(target *string, value *string) {
	if value != nil && *value != "" {
		*target = *value
	}
}

// connection is the client that all resources share. It is made at the first call, when the config is known.
type connection struct {
	once   sync.Once
	client *api.Client
	err    error
}

func (c *connection) consul(ctx context.Context) (*api.Client, error) {
	c.once.Do(func() { c.client, c.err = infer.GetConfig[Config](ctx).client() })
	return c.client, c.err
}

func query(ctx context.Context) *api.QueryOptions {
	return (&api.QueryOptions{}).WithContext(ctx)
}

func write(ctx context.Context) *api.WriteOptions {
	return (&api.WriteOptions{}).WithContext(ctx)
}

// unlessGone returns the error of a read, unless it means that the object does not exist. For ACL objects Consul says
// "ACL not found" both when the object is missing and when it does not know our token. The two must not be confused, or
// a refresh with a wrong token would forget everything.
func unlessGone(ctx context.Context, client *api.Client, err error) error {
	var status api.StatusError
	if !errors.As(err, &status) {
		return err
	}
	if status.Code == http.StatusNotFound {
		return nil
	}
	if strings.Contains(status.Body, "ACL not found") {
		if _, _, self := client.ACL().TokenReadSelf(query(ctx)); self == nil {
			return nil
		}
		return fmt.Errorf("%w: Consul does not know the token in the provider's config", err)
	}
	return err
}

// exists adds the way out to an error that says that the thing is there already.
func exists(err error, token string) error {
	if strings.Contains(err.Error(), "already exists") || strings.Contains(err.Error(), "already in use") {
		return fmt.Errorf("%w: choose another name, delete it in Consul, or take it over with "+
			"`pulumi import %s NAME ID`", err, token)
	}
	return err
}
