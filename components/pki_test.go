package components

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"slices"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/internal/names"
)

const (
	pkiRequest = "vault:pkiSecret/secretBackendIntermediateCertRequest:SecretBackendIntermediateCertRequest"
	pkiSigned  = "vault:pkiSecret/secretBackendIntermediateSetSigned:SecretBackendIntermediateSetSigned"
	pkiDefault = "vault:pkiSecret/secretBackendConfigIssuers:SecretBackendConfigIssuers"
	pkiIssuers = "vault:pkiSecret/getBackendIssuers:getBackendIssuers"
	pkiRole    = "vault:pkiSecret/secretBackendRole:SecretBackendRole"
)

// The key of an authority never leaves Vault: a request comes out, the root signs it, a certificate goes in.
func TestAuthorities(t *testing.T) {
	p := newPlatform(t)
	for _, path := range []string{"pki-consul", "pki-nomad", "pki-vault"} {
		assertInputs(t, p.One(t, "vault:index/mount:Mount", path), want{
			"path": path, "type": "pki", "maxLeaseTtlSeconds": intermediateHours * 3600,
		})
		assertInputs(t, p.One(t, pkiRequest, path), want{
			"backend": path, "type": "internal", "commonName": path, "keyType": "ec", "keyBits": 256,
		})
		signed := p.One(t, "tls:index/locallySignedCert:LocallySignedCert", path)
		assertSecret(t, signed, "caPrivateKeyPem", rootKey)
		assertInputs(t, signed, want{
			"caCertPem": rootPEM, "certRequestPem": "request of " + path, "isCaCertificate": true,
			"allowedUses":         list("cert_signing", "crl_signing", "digital_signature"),
			"validityPeriodHours": intermediateHours,
			"earlyRenewalHours":   intermediateRenewalHours,
		})
		assertInputs(t, p.One(t, pkiSigned, path), want{"backend": path, "certificate": "certificate of " + path})
		assertInputs(t, p.One(t, pkiDefault, path), want{
			"backend": path, "default": "issuer of " + path,
			"defaultFollowsLatestIssuer": nil, // an import alone changes nothing
		})
	}
}

// The name is the one input that another generation changes, and what makes another key of it.
func TestIntermediateGeneration(t *testing.T) {
	p := raisedPlatform(t, func(g *generations) { g.intermediates = 2 })
	for _, path := range []string{"pki-consul", "pki-nomad", "pki-vault"} {
		request := p.One(t, pkiRequest, path)
		assertInputs(t, request, want{"backend": path, "type": "internal", "commonName": path + "-2"})
		assert.False(t, request.Options.RegisterRPC.GetDeleteBeforeReplace())
	}
}

// The next root signs the intermediates. How it is certified by the one before it is in the mount before anything is issued.
func TestIntermediatesOfTheNextRoot(t *testing.T) {
	p := raisedPlatform(t, func(g *generations) { g.root = 2 })
	for _, path := range []string{"pki-consul", "pki-nomad", "pki-vault"} {
		assertInputs(t, p.One(t, pkiRequest, path), want{"commonName": path}) // the same key
		signed := p.One(t, "tls:index/locallySignedCert:LocallySignedCert", path)
		assertSecret(t, signed, "caPrivateKeyPem", nextRootKey)
		assertInputs(t, signed, want{"caCertPem": nextRootPEM})
		cross := p.One(t, pkiSigned, path+"-cross")
		assertInputs(t, cross, want{"backend": path, "certificate": crossPEM})
		assert.Contains(t, p.dependencies(cross), "vault:index/mount:Mount "+path)
		issuer := p.One(t, pkiDefault, path)
		assertInputs(t, issuer, want{"default": "issuer of " + path})
		assert.Contains(t, p.dependencies(issuer), pkiSigned+" "+path+"-cross")
	}
}

// An import that is repeated because the first was interrupted tells of no new issuer: it is found by its certificate.
func TestIssuerOfARepeatedImport(t *testing.T) {
	p := emptyPlatform(t)
	p.Outputs["tls:index/locallySignedCert:LocallySignedCert::pki-vault"]["certPem"] = text(certificateWithSerial(t, 0x0a0bff))
	delete(p.Outputs, pkiSigned+"::pki-vault")
	p.Outputs[pkiIssuers] = resource.PropertyMap{"keyInfoJson": text(
		`{"another": {"serial_number": "0a:0b:fe"}, "the one": {"serial_number": "0a:0b:ff"}}`)}
	p.Run(t, p.declare)
	assertInputs(t, p.One(t, pkiDefault, "pki-vault"), want{"default": "the one"})
	assertInputs(t, p.One(t, pkiDefault, "pki-nomad"), want{"default": "issuer of pki-nomad"})
}

func TestIssuerProblems(t *testing.T) {
	_, err := issuerWithSerial(`{"another": {"serial_number": "0a:0b:fe"}}`, "0a:0b:ff")
	require.EqualError(t, err, "none of its issuers has a certificate with the serial number 0a:0b:ff")
	_, err = issuerWithSerial("", "0a:0b:ff")
	require.ErrorContains(t, err, "read Vault's list of issuers")
	_, err = serialNumber("no certificate")
	require.EqualError(t, err, "its certificate is no PEM")
	_, err = serialNumber("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
	require.ErrorContains(t, err, "parse its certificate")
}

func certificateWithSerial(t *testing.T, serial int64) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(serial)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestAuthoritiesCertifyListedNamesOnly(t *testing.T) {
	p := newPlatform(t)
	roles := map[string]struct {
		backend, name string
		names         []string
	}{
		"pki-vault-server":  {"pki-vault", "server", names.VaultNames()},
		"pki-consul-server": {"pki-consul", "server", names.ConsulServerNames("fsn1")},
		"pki-consul-client": {"pki-consul", "client", names.ConsulClientNames("fsn1")},
		"pki-nomad-server":  {"pki-nomad", "server", names.NomadServerNames("global")},
		"pki-nomad-client":  {"pki-nomad", "client", names.NomadClientNames("global")},
	}
	assert.Len(t, p.All(pkiRole), len(roles))
	for name, role := range roles {
		declared := p.One(t, pkiRole, name)
		assertInputs(t, declared, want{
			"backend": role.backend, "name": role.name, "allowedDomains": list(role.names...),
			"allowBareDomains": true, "allowSubdomains": false, "allowLocalhost": false,
			"allowAnyName": nil, "allowGlobDomains": nil, "allowedDomainsTemplate": nil, "enforceHostnames": nil,
			"ttl": "10800", "maxTtl": "10800", // nobody gets a certificate that outlives the others
		})
		assert.Contains(t, p.dependencies(declared), pkiDefault+" "+role.backend, "nothing can be issued before")
	}
}

// Whoever presents one of these names is taken for a server.
func TestClientsNeverGetTheNameOfAServer(t *testing.T) {
	p := newPlatform(t)
	clients := 0
	for _, role := range p.All(pkiRole) {
		allowed := role.Input("allowedDomains").([]any)
		isServer := role.Input("name") == names.PKIServer
		for backend, names := range map[string][]string{
			"pki-vault":  {"vault.hashistack.internal", "vault.service.consul"},
			"pki-consul": {"server.fsn1.consul", "consul.service.consul"},
			"pki-nomad":  {"server.global.nomad", "nomad.service.consul", "nomad.hashistack.internal"},
		} {
			for _, name := range names {
				may := isServer && role.Input("backend") == backend
				assert.Equal(t, may, slices.Contains(allowed, any(name)), "%s for %s", name, role.Name)
			}
		}
		if !isServer {
			clients++
		}
	}
	assert.Equal(t, 2, clients)
}
