package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/nomad/api"
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
			aclPolicy(c).Resource(), aclToken(c).Resource(), aclRole(c).Resource(),
			aclAuthMethod(c).Resource(), aclBindingRule(c).Resource(),
			namespace(c).Resource(), nodePool(c).Resource(), schedulerConfig(c).Resource(),
			variable(c).Resource(),
		).
		Build()
	if err != nil {
		return p.Provider{}, fmt.Errorf("describe the nomad provider: %w", err)
	}
	return native.Wrap(inner, native.Options{
		Config: Config{},
		Autonamed: []string{
			"nomad:index/aclPolicy:AclPolicy", "nomad:index/aclToken:AclToken", "nomad:index/aclRole:AclRole",
			"nomad:index/aclAuthMethod:AclAuthMethod", "nomad:index/namespace:Namespace",
			"nomad:index/nodePool:NodePool",
		},
		Secrets: map[string][]string{
			"nomad:index/aclToken:AclToken": {"secretId"},
			"nomad:index/variable:Variable": {"items"},
		},
	}), nil
}

// Config is the provider's config. What is left out is taken from Nomad's environment variables (NOMAD_ADDR and so on),
// except that certificates are always verified.
type Config struct {
	Address  *string  `pulumi:"address,optional"`
	Region   *string  `pulumi:"region,optional"`
	SecretID *string  `pulumi:"secretId,optional" provider:"secret"`
	HTTPAuth *string  `pulumi:"httpAuth,optional" provider:"secret"`
	CaFile   *string  `pulumi:"caFile,optional"`
	CaPem    *string  `pulumi:"caPem,optional"`
	CertFile *string  `pulumi:"certFile,optional"`
	CertPem  *string  `pulumi:"certPem,optional"`
	KeyFile  *string  `pulumi:"keyFile,optional"`
	KeyPem   *string  `pulumi:"keyPem,optional" provider:"secret"`
	Headers  []Header `pulumi:"headers,optional" provider:"secret"`
}

// Header is an additional header of every request.
type Header struct {
	Name  string `pulumi:"name"`
	Value string `pulumi:"value"`
}

// client connects to Nomad.
func (c Config) client() (*api.Client, error) {
	config := api.DefaultConfig()
	set(&config.Address, c.Address)
	set(&config.Region, c.Region)
	set(&config.SecretID, c.SecretID)
	if c.HTTPAuth != nil {
		name, password, _ := strings.Cut(*c.HTTPAuth, ":")
		config.HttpAuth = &api.HttpBasicAuth{Username: name, Password: password}
	}
	tls := config.TLSConfig
	tls.Insecure = false
	if c.CaFile != nil || c.CaPem != nil {
		tls.CACert, tls.CAPath, tls.CACertPEM = native.Value(c.CaFile), "", []byte(native.Value(c.CaPem))
	}
	if c.CertFile != nil || c.CertPem != nil {
		tls.ClientCert, tls.ClientCertPEM = native.Value(c.CertFile), []byte(native.Value(c.CertPem))
		tls.ClientKey, tls.ClientKeyPEM = native.Value(c.KeyFile), []byte(native.Value(c.KeyPem))
	}
	for _, h := range c.Headers {
		if config.Headers == nil {
			config.Headers = http.Header{}
		}
		config.Headers.Add(h.Name, h.Value)
	}
	client, err := api.NewClient(config)
	if err != nil {
		return nil, fmt.Errorf("set up the client for Nomad at %s: %w", config.Address, err)
	}
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

func (c *connection) nomad(ctx context.Context) (*api.Client, error) {
	c.once.Do(func() { c.client, c.err = infer.GetConfig[Config](ctx).client() })
	return c.client, c.err
}

func query(ctx context.Context) *api.QueryOptions {
	return (&api.QueryOptions{}).WithContext(ctx)
}

func write(ctx context.Context) *api.WriteOptions {
	return (&api.WriteOptions{}).WithContext(ctx)
}

// unlessGone returns the error of a read, unless it means that the object does not exist.
func unlessGone(err error) error {
	var response api.UnexpectedResponseError
	if errors.As(err, &response) && response.StatusCode() == http.StatusNotFound ||
		errors.Is(err, api.ErrVariablePathNotFound) {
		return nil
	}
	return err
}

// exists adds the way out to an error that says that the thing is there already.
func exists(err error, token string) error {
	if strings.Contains(err.Error(), "already exists") {
		return fmt.Errorf("%w: choose another name, delete it in Nomad, or take it over with "+
			"`pulumi import %s NAME ID`", err, token)
	}
	return err
}

// retryBusy deletes what Nomad refuses to delete while jobs or nodes still use it: these may be on their way out, so
// it tries again for a minute, like the official plugin.
func retryBusy(ctx context.Context, remove func() error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		err := remove()
		busy := err != nil &&
			(strings.Contains(err.Error(), "non-terminal jobs") || strings.Contains(err.Error(), "has nodes"))
		if !busy {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("still in use after a minute: stop its jobs and move its nodes first: %w", err)
		case <-time.After(time.Second):
		}
	}
}

// parseDuration reads an optional duration.
func parseDuration(property string, text *string) (time.Duration, error) {
	if text == nil || *text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(*text)
	if err != nil {
		return 0, fmt.Errorf("%s: must be a duration such as 30m: %w", property, err)
	}
	return d, nil
}

// liveDuration returns a live duration as an input: the given text while it means the same.
func liveDuration(given *string, live time.Duration) *string {
	if d, err := parseDuration("", given); err == nil && d == live {
		return given
	}
	text := live.String()
	return &text
}
