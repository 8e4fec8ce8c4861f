package components

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"

	"hashistack/internal/vaultpath"
)

const (
	pkiRequest = "vault:pkiSecret/secretBackendIntermediateCertRequest:SecretBackendIntermediateCertRequest"
	pkiSigned  = "vault:pkiSecret/secretBackendIntermediateSetSigned:SecretBackendIntermediateSetSigned"
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
		})
		assertInputs(t, p.One(t, pkiSigned, path), want{"backend": path, "certificate": "certificate of " + path})
	}
}

func TestAuthoritiesCertifyListedNamesOnly(t *testing.T) {
	p := newPlatform(t)
	roles := map[string]struct {
		backend, name string
		names         []string
	}{
		"pki-vault-server":  {"pki-vault", "server", vaultpath.VaultNames()},
		"pki-consul-server": {"pki-consul", "server", vaultpath.ConsulServerNames("fsn1")},
		"pki-consul-client": {"pki-consul", "client", vaultpath.ConsulClientNames("fsn1")},
		"pki-nomad-server":  {"pki-nomad", "server", vaultpath.NomadServerNames("global")},
		"pki-nomad-client":  {"pki-nomad", "client", vaultpath.NomadClientNames("global")},
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
		assert.Contains(t, p.dependencies(declared), pkiSigned+" "+role.backend, "nothing can be issued before")
	}
}

// Whoever presents one of these names is taken for a server.
func TestClientsNeverGetTheNameOfAServer(t *testing.T) {
	p := newPlatform(t)
	clients := 0
	for _, role := range p.All(pkiRole) {
		allowed := role.Input("allowedDomains").([]any)
		isServer := role.Input("name") == vaultpath.PKIServer
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
