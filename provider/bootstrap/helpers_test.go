package bootstrap

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/blang/semver"
	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/integration"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
	"github.com/stretchr/testify/require"
)

// secret is a bootstrap secret of the tests.
const (
	secret      = "0c6e1f0a-57a5-4d5e-8a5b-3b1a6f0f9d11"
	otherSecret = "5b0f8c6e-93ab-4f0b-9a1d-6f6b0a7f2c22"
)

// gossipKey and otherGossipKey are gossip keys of the tests.
const (
	gossipKey      = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	otherGossipKey = "Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA="
)

// authority is a certificate authority made for one test.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         string
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return authority{certificate, key, toPEM("CERTIFICATE", der)}
}

func toPEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// issue signs a server and client certificate for the hosts, which are names or addresses.
func (a authority) issue(t *testing.T, hosts ...string) (certificatePEM, keyPEM string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: hosts[0]},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalECPrivateKey(key)
	require.NoError(t, err)
	return toPEM("CERTIFICATE", der), toPEM("EC PRIVATE KEY", keyDER)
}

// serve runs handler as an HTTPS server with a certificate for host, and returns its URL at 127.0.0.1.
func (a authority) serve(t *testing.T, host string, handler http.Handler) string {
	t.Helper()
	certificate, key := a.issue(t, host)
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(handler)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

// subject is one resource under test, driven over the provider's gRPC-level interface as Pulumi drives it.
type subject struct {
	t      *testing.T
	server integration.Server
	urn    resource.URN
}

func newSubject(ctx context.Context, t *testing.T, resourceType, name string) subject {
	t.Helper()
	provider, err := Provider()
	require.NoError(t, err)
	server, err := integration.NewServer(ctx, Name, semver.MustParse(Version), integration.WithProvider(provider))
	require.NoError(t, err)
	return subject{t, server, resource.NewURN("test", "test", "", tokens.Type("hashistack:index:"+resourceType), name)}
}

func properties(values map[string]any) property.Map {
	return resource.FromResourcePropertyValue(resource.NewProperty(resource.NewPropertyMapFromMap(values))).AsMap()
}

// checked returns the inputs with their defaults, and fails the test if they are refused.
func (s subject) checked(inputs map[string]any) property.Map {
	s.t.Helper()
	resp, err := s.server.Check(p.CheckRequest{Urn: s.urn, Inputs: properties(inputs)})
	require.NoError(s.t, err)
	require.Empty(s.t, resp.Failures)
	return resp.Inputs
}

// refused returns the failures that Check finds in the inputs.
func (s subject) refused(old property.Map, inputs map[string]any) map[string]string {
	s.t.Helper()
	resp, err := s.server.Check(p.CheckRequest{Urn: s.urn, State: old, Inputs: properties(inputs)})
	require.NoError(s.t, err)
	failures := map[string]string{}
	for _, failure := range resp.Failures {
		failures[failure.Property] = failure.Reason
	}
	return failures
}

func (s subject) create(inputs map[string]any) (p.CreateResponse, error) {
	s.t.Helper()
	return s.server.Create(p.CreateRequest{Urn: s.urn, Properties: s.checked(inputs)})
}

func (s subject) mustCreate(inputs map[string]any) p.CreateResponse {
	s.t.Helper()
	resp, err := s.create(inputs)
	require.NoError(s.t, err)
	return resp
}

func (s subject) read(created p.CreateResponse, inputs map[string]any) p.ReadResponse {
	s.t.Helper()
	resp, err := s.server.Read(p.ReadRequest{ID: created.ID, Urn: s.urn, Properties: created.Properties, Inputs: s.checked(inputs)})
	require.NoError(s.t, err)
	return resp
}

func (s subject) diff(state property.Map, oldInputs, inputs map[string]any) p.DiffResponse {
	s.t.Helper()
	resp, err := s.server.Diff(p.DiffRequest{
		ID: s.urn.Name(), Urn: s.urn, State: state, OldInputs: s.checked(oldInputs), Inputs: s.checked(inputs),
	})
	require.NoError(s.t, err)
	return resp
}

// with returns a copy of inputs with one more or another value.
func with(inputs map[string]any, key string, value any) map[string]any {
	changed := map[string]any{key: value}
	for k, v := range inputs {
		if _, ok := changed[k]; !ok {
			changed[k] = v
		}
	}
	return changed
}

func nodes(addresses ...string) []any {
	var list []any
	for i, address := range addresses {
		list = append(list, map[string]any{"name": "server-" + string(rune('1'+i)), "address": address})
	}
	return list
}
