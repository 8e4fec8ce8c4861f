package security

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"hashistack/internal/names"
)

// api is one of the three APIs, at the stack's address for it.
type api struct {
	product, address string
	header           string // that carries a token
	token            string // the stack's
}

func (w *world) vault() api {
	return api{"Vault", w.outputs.VaultAddress, "X-Vault-Token", w.outputs.VaultToken}
}

func (w *world) consul() api {
	return api{"Consul", w.outputs.ConsulAddress, "X-Consul-Token", w.outputs.ConsulToken}
}

func (w *world) nomadAPI() api {
	return api{"Nomad", w.outputs.NomadAddress, "X-Nomad-Token", w.outputs.NomadToken}
}

// request is what somebody asks an API for.
type request struct {
	what, method, path, body string
}

// token yields a token when an attempt needs it.
type token func(context.Context) (string, error)

// known is a token that is there already; "" asks without one.
func known(value string) token { return func(context.Context) (string, error) { return value, nil } }

// client trusts what config says, and nothing that is kept from another attempt.
func client(config *tls.Config) *http.Client {
	config.MinVersion = tls.VersionTLS12
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
}

// trusting trusts the stack's root certificate and no other.
func (w *world) trusting() (*tls.Config, error) {
	pem, err := os.ReadFile(w.outputs.CAFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate", w.outputs.CAFile)
	}
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, nil
}

// ask makes a request with a token, and returns an error that begins with the answer's status unless that is good.
func (w *world) ask(ctx context.Context, a api, with token, r request) error {
	secret, err := with(ctx)
	if err != nil {
		return err
	}
	config, err := w.trusting()
	if err != nil {
		return err
	}
	asked, err := http.NewRequestWithContext(ctx, r.method, a.address+r.path, strings.NewReader(r.body))
	if err != nil {
		return err
	}
	if secret != "" {
		asked.Header.Set(a.header, secret)
	}
	return answered(client(config).Do(asked))
}

// answered turns an answer of 300 and more into an error.
func answered(answer *http.Response, err error) error {
	if err != nil {
		return err
	}
	defer answer.Body.Close() //nolint:errcheck // it has been read by then
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err == nil && answer.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%d: %.200s", answer.StatusCode, body)
	}
	return err
}

// asks are requests of somebody that an API refuses. The twin is the same request with the stack's token.
func (w *world) asks(from string, a api, with token, requests ...request) []Attempt {
	var attempts []Attempt
	for _, r := range requests {
		attempts = append(attempts, Attempt{
			From: from, What: a.product + ": " + r.what, Because: "403",
			Refused:   func(ctx context.Context) error { return w.ask(ctx, a, with, r) },
			Permitted: func(ctx context.Context) error { return w.ask(ctx, a, known(a.token), r) },
		})
	}
	return attempts
}

// Writes that change nothing of use, so that twins may succeed.
const (
	keyOfProbe       = "/v1/kv/security/probe"
	intentionOfProbe = "/v1/connect/intentions/exact?source=security-a&destination=security-b"
)

// nodeAt registers a node at one of the addresses for documentation. Consul lets everybody register what is there already, so each
// attempt has another one than the last twin.
func nodeAt(last int) string {
	return fmt.Sprintf(`{"Node": "security-probe", "Address": "192.0.2.%d"}`, last)
}

func (w *world) anonymous() []Attempt {
	const from = "whoever reaches an API"
	var attempts []Attempt
	attempts = append(attempts, w.asks(from, w.vault(), known(""),
		request{"list its mounts", "GET", "/v1/sys/mounts", ""},
		request{"read a policy", "GET", "/v1/sys/policies/acl/deployer", ""},
		request{"read a job's secret", "GET", "/v1/secret/data/default/page/config", ""},
		request{"read a gossip key", "GET", "/v1/" + names.PlatformData(names.GossipConsul), ""},
		request{"make a token", "POST", "/v1/auth/token/create", `{"policies": ["default"], "ttl": "1m"}`},
		request{"read its metrics", "GET", "/v1/sys/metrics", ""},
		request{"read the raft configuration", "GET", "/v1/sys/storage/raft/configuration", ""},
		request{"read its configuration", "GET", "/v1/sys/config/state/sanitized", ""},
	)...)
	attempts = append(attempts, w.asks(from, w.consul(), known(""),
		request{"list tokens", "GET", "/v1/acl/tokens", ""},
		request{"read an agent's configuration", "GET", "/v1/agent/self", ""},
		request{"read its metrics", "GET", "/v1/agent/metrics", ""},
		request{"write a key", "PUT", keyOfProbe, "x"},
		request{"register a node", "PUT", "/v1/catalog/register", nodeAt(1)},
		request{"read autopilot's configuration", "GET", "/v1/operator/autopilot/configuration", ""},
		request{"take a snapshot", "GET", "/v1/snapshot", ""},
		request{"read the raft configuration", "GET", "/v1/operator/raft/configuration", ""},
	)...)
	return append(attempts, w.asks(from, w.nomadAPI(), known(""),
		request{"list jobs", "GET", "/v1/jobs", ""},
		request{"list nodes", "GET", "/v1/nodes", ""},
		request{"list tokens", "GET", "/v1/acl/tokens", ""},
		request{"read an agent's configuration", "GET", "/v1/agent/self", ""},
		request{"list servers", "GET", "/v1/agent/members", ""},
		request{"list the keys that sign identities", "GET", "/v1/operator/keyring/keys", ""},
		request{"search for jobs", "POST", "/v1/search", `{"Prefix": "", "Context": "jobs"}`},
		request{"take a snapshot", "GET", "/v1/operator/snapshot", ""},
	)...)
}

// connections are attempts to talk to an API in another way than over TLS that is verified.
func (w *world) connections() []Attempt {
	var attempts []Attempt
	for _, a := range []api{w.vault(), w.consul(), w.nomadAPI()} {
		host := strings.TrimPrefix(a.address, "https://")
		get := func(address string, config func() (*tls.Config, error)) func(context.Context) error {
			return func(ctx context.Context) error {
				trusted, err := config()
				if err != nil {
					return err
				}
				asked, err := http.NewRequestWithContext(ctx, http.MethodGet, address+healthOf[a.product], nil)
				if err != nil {
					return err
				}
				return answered(client(trusted).Do(asked))
			}
		}
		called := func(name string) func() (*tls.Config, error) {
			return func() (*tls.Config, error) {
				config, err := w.trusting()
				if err == nil {
					config.ServerName = name
				}
				return config, err
			}
		}
		nobody := func() (*tls.Config, error) {
			return &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}, nil
		}
		old := func() (*tls.Config, error) {
			config, err := w.trusting()
			if err == nil {
				config.MaxVersion = tls.VersionTLS11
			}
			return config, err
		}
		name, _, _ := net.SplitHostPort(host)
		permitted := get(a.address, called(name))
		const from = "operator"
		attempts = append(attempts,
			Attempt{from, a.product + ": trust it without the stack's root certificate", "unknown authority", get(a.address, nobody), permitted},
			Attempt{from, a.product + ": take it for another server", "certificate is", get(a.address, called("wrong.example.com")), permitted},
			Attempt{from, a.product + ": speak to it without TLS", "HTTP request to an HTTPS server", get("http://"+host, called(name)), permitted},
			Attempt{from, a.product + ": speak to it by TLS 1.1", "protocol version", dial(host, old), dial(host, called(name))},
		)
	}
	return attempts
}

// healthOf are paths that answer without a token.
var healthOf = map[string]string{"Vault": "/v1/sys/health?standbyok=true", "Consul": "/v1/status/leader", "Nomad": "/v1/status/leader"}

// dial shakes hands with a server, by the versions of TLS that config allows.
func dial(host string, config func() (*tls.Config, error)) func(context.Context) error {
	return func(ctx context.Context) error {
		trusted, err := config()
		if err != nil {
			return err
		}
		if trusted.MaxVersion != 0 && trusted.MaxVersion < trusted.MinVersion {
			trusted.MinVersion = trusted.MaxVersion
		}
		connection, err := (&tls.Dialer{Config: trusted}).DialContext(ctx, "tcp", host)
		if err != nil {
			return err
		}
		return connection.Close()
	}
}
