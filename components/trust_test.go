package components

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/internals"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/internal/pulumitest"
	"hashistack/internal/vaultpath"
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
		trust, err = NewTrust(ctx, "test", filepath.Join(file, "root.pem"))
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
			"dnsNames":           list(vaultpath.VaultName, "localhost"),
			"ipAddresses":        list("127.0.0.1", m.private, m.public),
			"subject.commonName": vaultpath.VaultName,
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
