package components

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/internals"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/internal/names"
	"hashistack/internal/pulumitest"
)

func TestTrust(t *testing.T) {
	p := newPlatform(t)
	root := p.One(t, "tls:index/selfSignedCert:SelfSignedCert", "test")
	assertSecret(t, root, "privateKeyPem", rootKey)
	assertInputs(t, root, want{
		"isCaCertificate":     true,
		"allowedUses":         list("cert_signing", "crl_signing", "digital_signature"),
		"subject.commonName":  "test root",
		"validityPeriodHours": rootHours,
	})
	for _, key := range p.All("tls:index/privateKey:PrivateKey") {
		assertInputs(t, key, want{"algorithm": "ECDSA", "ecdsaCurve": "P256"})
	}

	written, err := os.ReadFile(p.rootPEM)
	require.NoError(t, err)
	assert.Equal(t, rootPEM, string(written))
	assert.Empty(t, p.Warnings())
	path, err := internals.UnsafeAwaitOutput(t.Context(), p.trust.File)
	require.NoError(t, err)
	assert.Equal(t, p.rootPEM, path.Value)
}

func TestTrustSaysWhyItCannotKeepTheCertificate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	recorder := &pulumitest.Recorder{Outputs: outputs()}
	var trust *Trust
	recorder.Run(t, func(ctx *pulumi.Context) (err error) {
		trust, err = NewTrust(ctx, "test", &TrustArgs{File: filepath.Join(file, "root.pem"), Root: 1, MachineRoot: 1})
		return err
	})
	_, err := internals.UnsafeAwaitOutput(t.Context(), trust.File)
	require.ErrorContains(t, err, "keep the root certificate: mkdir "+file)
}

// A bootstrap certificate speaks for Vault on its own machine, and signs nothing.
func TestBootstrapListener(t *testing.T) {
	p := newPlatform(t)
	assert.Len(t, p.All("tls:index/certRequest:CertRequest"), len(serverMachines), "only Vault's machines listen before Vault's authority exists")
	for _, m := range serverMachines {
		request := p.One(t, "tls:index/certRequest:CertRequest", m.name)
		assertSecret(t, request, "privateKeyPem", bootstrapKey(m.name))
		assertInputs(t, request, want{
			"dnsNames":           list(names.VaultName, "localhost"),
			"ipAddresses":        list("127.0.0.1", m.private, m.public),
			"subject.commonName": names.VaultName,
		})
		certificate := p.One(t, "tls:index/locallySignedCert:LocallySignedCert", m.name)
		assertSecret(t, certificate, "caPrivateKeyPem", rootKey)
		assertInputs(t, certificate, want{
			"caCertPem":       rootPEM,
			"certRequestPem":  "request of " + m.name,
			"isCaCertificate": nil,
			"allowedUses":     list("digital_signature", "key_encipherment", "server_auth", "client_auth"),
		})
	}
}

// The root before the one that signs certifies its key and name. Machines carry the old one, and what it signed for them.
func TestNextRoot(t *testing.T) {
	p := raisedPlatform(t, func(g *generations) { g.root = 2 })
	for name, key := range map[string]string{"test": rootKey, "test-2": nextRootKey} {
		root := p.One(t, "tls:index/selfSignedCert:SelfSignedCert", name)
		assertSecret(t, root, "privateKeyPem", key)
		assertInputs(t, root, want{"subject.commonName": name + " root"})
	}
	request := p.One(t, "tls:index/certRequest:CertRequest", "test-2")
	assertSecret(t, request, "privateKeyPem", nextRootKey)
	assertInputs(t, request, want{"subject.commonName": "test-2 root", "dnsNames": nil, "ipAddresses": nil})
	cross := p.One(t, "tls:index/locallySignedCert:LocallySignedCert", "test-2")
	assertSecret(t, cross, "caPrivateKeyPem", rootKey)
	assertInputs(t, cross, want{
		"caCertPem": rootPEM, "certRequestPem": "request of test-2", "isCaCertificate": true, "setSubjectKeyId": true,
		"allowedUses": list("cert_signing", "crl_signing", "digital_signature"),
	})
	assertMachineRoot(t, p, rootPEM, rootKey)
	assertClientsTrust(t, p, rootPEM)
}

// assertMachineRoot asserts which root machines carry, and has signed what they carry.
func assertMachineRoot(t *testing.T, p *platform, certificate, key string) {
	t.Helper()
	for _, m := range serverMachines {
		bootstrap := p.One(t, "tls:index/locallySignedCert:LocallySignedCert", m.name)
		assertSecret(t, bootstrap, "caPrivateKeyPem", key)
		assertInputs(t, bootstrap, want{"caCertPem": certificate})
	}
	assertUserData(t, p, certificate)
}

func TestMachinesCarryTheNextRoot(t *testing.T) {
	p := raisedPlatform(t, func(g *generations) { g.root, g.machineRoot = 2, 2 })
	assertMachineRoot(t, p, nextRootPEM, nextRootKey)
	assertClientsTrust(t, p, rootPEM+nextRootPEM)
	// Machines that are not replaced yet know the root before.
	assert.Len(t, p.All("tls:index/selfSignedCert:SelfSignedCert"), 2)
	assertInputs(t, p.One(t, pkiSigned, "pki-vault-cross"), want{"certificate": crossPEM})
}

func TestOnlyTheLastTwoRootsStay(t *testing.T) {
	p := raisedPlatform(t, func(g *generations) { g.root, g.machineRoot = 3, 2 })
	p.One(t, "tls:index/selfSignedCert:SelfSignedCert", "test-2")
	p.One(t, "tls:index/selfSignedCert:SelfSignedCert", "test-3")
	assert.Len(t, p.All("tls:index/selfSignedCert:SelfSignedCert"), 2)
	assertSecret(t, p.One(t, "tls:index/locallySignedCert:LocallySignedCert", "test-3"), "caPrivateKeyPem", nextRootKey)
	assertMachineRoot(t, p, nextRootPEM, nextRootKey)
	assertClientsTrust(t, p, nextRootPEM)
}

// assertClientsTrust asserts which roots everything trusts that talks to the machines.
func assertClientsTrust(t *testing.T, p *platform, roots string) {
	t.Helper()
	written, err := os.ReadFile(p.rootPEM)
	require.NoError(t, err)
	assert.Equal(t, roots, string(written))
	bundled := map[string]int{}
	for _, declared := range p.Resources() {
		if declared.Type == membershipType {
			continue // see TestMembershipsKnowEveryRoot
		}
		for _, input := range []string{"caPem", "cluster.caPem", "caCert", "jwksCaPem"} {
			if bundle := declared.Input(input); bundle != nil {
				assert.Equal(t, roots, bundle, "%s of %s", input, declared.URN)
				bundled[declared.Type]++
			}
		}
	}
	assert.Equal(t, map[string]int{
		"hashistack:index:VaultInit": 1, "hashistack:index:VaultUnseal": 4, "hashistack:index:ConsulBootstrap": 1, "hashistack:index:ConsulToken": 1,
		"hashistack:index:NomadBootstrap": 1, "hashistack:index:GossipInstall": 2, "hashistack:index:GossipUse": 2,
		"vault:consul/secretBackend:SecretBackend":          1,
		"vault:index/nomadSecretBackend:NomadSecretBackend": 1, "vault:jwt/authBackend:AuthBackend": 1,
	}, bundled)
	var config struct{ JWKSCACert string }
	method := p.One(t, "consul:index/aclAuthMethod:AclAuthMethod", "nomad-workloads").Input("configJson").(string)
	require.NoError(t, json.Unmarshal([]byte(method), &config))
	assert.Equal(t, roots, config.JWKSCACert)
}

func TestRootExpiry(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	assert.Empty(t, expiryWarning("test", "root", "2031-01-02T00:00:00Z", now))
	assert.Equal(t, "root test expires on 2030-12-31: raise generations.root, as RUNBOOK.md says", expiryWarning("test", "root", "2030-12-31T00:00:00Z", now))
	assert.Contains(t, expiryWarning("test", "root", "soon", now), "nobody can tell when root test expires")

	p := emptyPlatform(t)
	p.Outputs["tls:index/selfSignedCert:SelfSignedCert"]["validityEndTime"] = text("2001-01-01T00:00:00Z")
	p.Run(t, p.declareGround)
	assert.Equal(t, []string{"root test expires on 2001-01-01: raise generations.root, as RUNBOOK.md says"}, p.Warnings())

	p = emptyPlatform(t)
	p.generations.root = 2
	p.Outputs["tls:index/selfSignedCert:SelfSignedCert::test"] = resource.PropertyMap{"validityEndTime": text("2001-01-01T00:00:00Z")}
	p.Run(t, p.declareGround)
	assert.Equal(t, []string{"root test expires on 2001-01-01: raise generations.machineRoot, as RUNBOOK.md says"}, p.Warnings())
}
