package components

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/pulumi/pulumi-tls/sdk/v5/go/tls"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"hashistack/internal/vaultpath"
)

// TrustType is the type token of Trust.
const TrustType = typePrefix + "Trust"

// Lifetimes of what the root signs, in hours.
const (
	rootHours         = 10 * 365 * 24
	intermediateHours = 5 * 365 * 24
	// From its last year on, whichever update comes next renews an intermediate.
	intermediateRenewalHours = 365 * 24
	// A bootstrap certificate is part of its machine, so it must not expire while the machine lives: a new one would
	// replace the machine. It speaks for that machine alone.
	bootstrapHours = rootHours
)

// Trust is the root certificate authority of a stack. Its key exists in the stack's encrypted state only. Every machine
// and every client of the platform trusts the root and nothing else.
type Trust struct {
	pulumi.ResourceState

	// Certificate is the root's, in PEM.
	Certificate pulumi.StringOutput
	// File is the path of a file with the certificate, for what takes no PEM (the Vault provider).
	File pulumi.StringOutput

	key *tls.PrivateKey
}

// NewTrust declares a root certificate authority. file is where its certificate is kept in the working directory.
func NewTrust(ctx *pulumi.Context, name, file string, opts ...pulumi.ResourceOption) (*Trust, error) {
	t := &Trust{}
	if err := ctx.RegisterComponentResource(TrustType, name, t, opts...); err != nil {
		return nil, fmt.Errorf("register trust %s: %w", name, err)
	}
	var err error
	if t.key, err = newKey(ctx, name, t); err != nil {
		return nil, err
	}
	root, err := tls.NewSelfSignedCert(ctx, name, &tls.SelfSignedCertArgs{
		PrivateKeyPem:       t.key.PrivateKeyPem,
		IsCaCertificate:     pulumi.Bool(true),
		SetSubjectKeyId:     pulumi.Bool(true),
		AllowedUses:         pulumi.ToStringArray([]string{"cert_signing", "crl_signing", "digital_signature"}),
		ValidityPeriodHours: pulumi.Int(rootHours),
		Subject:             tls.SelfSignedCertSubjectArgs{CommonName: pulumi.String(name + " root")},
	}, pulumi.Parent(t))
	if err != nil {
		return nil, fmt.Errorf("create root certificate: %w", err)
	}
	t.Certificate = root.CertPem
	t.File = root.CertPem.ApplyT(func(pem string) (string, error) {
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			return "", fmt.Errorf("keep the root certificate: %w", err)
		}
		return file, os.WriteFile(file, []byte(pem), 0o600)
	}).(pulumi.StringOutput)
	return t, ctx.RegisterResourceOutputs(t, pulumi.Map{"certificate": t.Certificate})
}

// signIntermediate declares the certificate of an intermediate authority that has its key elsewhere.
func (t *Trust) signIntermediate(
	ctx *pulumi.Context, name string, request pulumi.StringInput, opts ...pulumi.ResourceOption,
) (*tls.LocallySignedCert, error) {
	return tls.NewLocallySignedCert(ctx, name, &tls.LocallySignedCertArgs{
		CaCertPem:           t.Certificate,
		CaPrivateKeyPem:     t.key.PrivateKeyPem,
		CertRequestPem:      request,
		IsCaCertificate:     pulumi.Bool(true),
		SetSubjectKeyId:     pulumi.Bool(true),
		AllowedUses:         pulumi.ToStringArray([]string{"cert_signing", "crl_signing", "digital_signature"}),
		ValidityPeriodHours: pulumi.Int(intermediateHours),
		EarlyRenewalHours:   pulumi.Int(intermediateRenewalHours),
	}, opts...)
}

// bootstrapListener declares the certificate and the key that Vault on one machine listens with until its own
// authority exists.
func (t *Trust) bootstrapListener(
	ctx *pulumi.Context, name string, addresses pulumi.StringArray, parent pulumi.Resource,
) (certificate, key pulumi.StringOutput, err error) {
	private, err := newKey(ctx, name, parent)
	if err != nil {
		return certificate, key, err
	}
	request, err := tls.NewCertRequest(ctx, name, &tls.CertRequestArgs{
		PrivateKeyPem: private.PrivateKeyPem,
		DnsNames:      pulumi.ToStringArray([]string{vaultpath.VaultName, "localhost"}),
		IpAddresses:   append(pulumi.StringArray{pulumi.String("127.0.0.1")}, addresses...),
		Subject:       tls.CertRequestSubjectArgs{CommonName: pulumi.String(vaultpath.VaultName)},
	}, pulumi.Parent(parent))
	if err != nil {
		return certificate, key, fmt.Errorf("request bootstrap certificate of %s: %w", name, err)
	}
	cert, err := tls.NewLocallySignedCert(ctx, name, &tls.LocallySignedCertArgs{
		CaCertPem:           t.Certificate,
		CaPrivateKeyPem:     t.key.PrivateKeyPem,
		CertRequestPem:      request.CertRequestPem,
		AllowedUses:         pulumi.ToStringArray([]string{"digital_signature", "key_encipherment", "server_auth", "client_auth"}),
		ValidityPeriodHours: pulumi.Int(bootstrapHours),
	}, pulumi.Parent(parent))
	if err != nil {
		return certificate, key, fmt.Errorf("sign bootstrap certificate of %s: %w", name, err)
	}
	return cert.CertPem, private.PrivateKeyPem, nil
}

func newKey(ctx *pulumi.Context, name string, parent pulumi.Resource) (*tls.PrivateKey, error) {
	key, err := tls.NewPrivateKey(ctx, name, &tls.PrivateKeyArgs{
		Algorithm:  pulumi.String("ECDSA"),
		EcdsaCurve: pulumi.String("P256"),
	}, pulumi.Parent(parent))
	if err != nil {
		return nil, fmt.Errorf("create key %s: %w", name, err)
	}
	return key, nil
}
