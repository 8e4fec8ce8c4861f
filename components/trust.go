package components

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pulumi/pulumi-tls/sdk/v5/go/tls"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// TrustType is the type token of Trust.
const TrustType = typePrefix + "Trust"

// Lifetimes of what the root signs, in hours.
const (
	rootHours = 10 * 365 * 24
	// In its last year there is still time to go through all that a new root takes without haste.
	rootWarningHours  = 365 * 24
	intermediateHours = 5 * 365 * 24
	// From its last year on, whichever update comes next renews an intermediate.
	intermediateRenewalHours = 365 * 24
	// A bootstrap certificate is part of its machine, so it must not expire while the machine lives: a new one would
	// replace the machine. It speaks for that machine alone.
	bootstrapHours = rootHours
)

// TrustArgs describes the roots of a stack.
type TrustArgs struct {
	// File is where the roots' certificates are kept in the working directory.
	File string
	// Root is the number of the root that signs, MachineRoot that of the root that machines carry: the same, or the one
	// before it.
	Root, MachineRoot int
}

// Trust is the root certificate authority of a stack. Its key exists in the stack's encrypted state only. Every machine
// and every client of the platform trusts the root and nothing else.
//
// Roots are numbered. The root before the one that signs stays, and certifies its successor's key in a cross certificate. A
// client that knows only the older root verifies the newer one's signatures through that (RFC 4158, section 1.5), so a new
// root can sign before anybody has it.
type Trust struct {
	pulumi.ResourceState

	// Bundle is the certificates of the roots that clients of the platform trust, in PEM, the newest last. It begins with the
	// root before the one that signs, and ends with the one that machines carry. A new root comes into it with the machines:
	// it is not needed before, and as long as it does not exist the bundle would be unknown, so that a preview would show a
	// change of everything.
	Bundle pulumi.StringOutput
	// File is the path of a file with the bundle, for Pulumi's providers of Vault, Consul and Nomad: to them another
	// configuration is another provider, and all that they made would be replaced with it.
	File pulumi.StringOutput

	all     pulumi.StringOutput // certificates of all roots there are
	signing *root
	machine *root                  // that machines carry, and that signs what they carry
	cross   *tls.LocallySignedCert // of the signing root by the one before it, if there is one
}

// root is one of the roots.
type root struct {
	name        string
	key         *tls.PrivateKey
	certificate *tls.SelfSignedCert
}

// NewTrust declares the root certificate authority.
func NewTrust(ctx *pulumi.Context, name string, args *TrustArgs, opts ...pulumi.ResourceOption) (*Trust, error) {
	t := &Trust{}
	if err := ctx.RegisterComponentResource(TrustType, name, t, opts...); err != nil {
		return nil, fmt.Errorf("register trust %s: %w", name, err)
	}
	var bundle, all pulumi.StringArray
	for number := max(1, args.Root-1); number <= args.Root; number++ {
		previous := t.signing
		var err error
		if t.signing, err = newRoot(ctx, numbered(name, number), t); err != nil {
			return nil, err
		}
		if previous != nil {
			if t.cross, err = t.signing.crossSign(ctx, previous, t); err != nil {
				return nil, err
			}
		}
		if number == args.MachineRoot {
			t.machine = t.signing
		}
		all = append(all, t.signing.certificate.CertPem)
		if number <= args.MachineRoot {
			bundle = append(bundle, t.signing.certificate.CertPem)
		}
	}
	t.Bundle, t.all = concatenated(bundle), concatenated(all)
	t.File = t.Bundle.ApplyT(func(pem string) (string, error) {
		if err := os.MkdirAll(filepath.Dir(args.File), 0o750); err != nil {
			return "", fmt.Errorf("keep the root certificate: %w", err)
		}
		return args.File, os.WriteFile(args.File, []byte(pem), 0o600)
	}).(pulumi.StringOutput)
	t.warnOfExpiry(ctx, t.signing, "root")
	if t.machine != t.signing {
		t.warnOfExpiry(ctx, t.machine, "machineRoot")
	}
	return t, ctx.RegisterResourceOutputs(t, pulumi.Map{"bundle": t.Bundle})
}

func concatenated(certificates pulumi.StringArray) pulumi.StringOutput {
	return certificates.ToStringArrayOutput().ApplyT(func(certificates []string) string {
		return strings.Join(certificates, "")
	}).(pulumi.StringOutput)
}

// warnOfExpiry warns, in the last year of a root that is in use, of its end, and names the generation to raise.
func (t *Trust) warnOfExpiry(ctx *pulumi.Context, r *root, generation string) {
	r.certificate.ValidityEndTime.ApplyT(func(end string) string {
		if warning := expiryWarning(r.name, generation, end, time.Now()); warning != "" {
			_ = ctx.Log.Warn(warning, &pulumi.LogArgs{Resource: t}) // it goes on without
		}
		return end
	})
}

func expiryWarning(name, generation, end string, now time.Time) string {
	expiry, err := time.Parse(time.RFC3339, end)
	switch {
	case err != nil:
		return fmt.Sprintf("nobody can tell when root %s expires: %v", name, err)
	case expiry.Sub(now) < rootWarningHours*time.Hour:
		return fmt.Sprintf("root %s expires on %s: raise generations.%s, as RUNBOOK.md says", name, expiry.Format(time.DateOnly), generation)
	}
	return ""
}

func newRoot(ctx *pulumi.Context, name string, parent pulumi.Resource) (*root, error) {
	r := &root{name: name}
	var err error
	if r.key, err = newKey(ctx, name, parent); err != nil {
		return nil, err
	}
	r.certificate, err = tls.NewSelfSignedCert(ctx, name, &tls.SelfSignedCertArgs{
		PrivateKeyPem:       r.key.PrivateKeyPem,
		IsCaCertificate:     pulumi.Bool(true),
		SetSubjectKeyId:     pulumi.Bool(true),
		AllowedUses:         authorityUses(),
		ValidityPeriodHours: pulumi.Int(rootHours),
		Subject:             tls.SelfSignedCertSubjectArgs{CommonName: pulumi.String(r.commonName())},
	}, pulumi.Parent(parent))
	if err != nil {
		return nil, fmt.Errorf("create root certificate %s: %w", name, err)
	}
	return r, nil
}

func (r *root) commonName() string { return r.name + " root" }

// authorityUses are what the key of a certificate authority is for.
func authorityUses() pulumi.StringArray {
	return pulumi.ToStringArray([]string{"cert_signing", "crl_signing", "digital_signature"})
}

// crossSign declares a certificate of the root's key and name that the root before it signs.
func (r *root) crossSign(ctx *pulumi.Context, previous *root, parent pulumi.Resource) (*tls.LocallySignedCert, error) {
	request, err := tls.NewCertRequest(ctx, r.name, &tls.CertRequestArgs{
		PrivateKeyPem: r.key.PrivateKeyPem,
		Subject:       tls.CertRequestSubjectArgs{CommonName: pulumi.String(r.commonName())},
	}, pulumi.Parent(parent))
	if err != nil {
		return nil, fmt.Errorf("request cross certificate of root %s: %w", r.name, err)
	}
	cross, err := tls.NewLocallySignedCert(ctx, r.name, &tls.LocallySignedCertArgs{
		CaCertPem:           previous.certificate.CertPem,
		CaPrivateKeyPem:     previous.key.PrivateKeyPem,
		CertRequestPem:      request.CertRequestPem,
		IsCaCertificate:     pulumi.Bool(true),
		SetSubjectKeyId:     pulumi.Bool(true),
		AllowedUses:         authorityUses(),
		ValidityPeriodHours: pulumi.Int(rootHours),
	}, pulumi.Parent(parent))
	if err != nil {
		return nil, fmt.Errorf("sign cross certificate of root %s: %w", r.name, err)
	}
	return cross, nil
}

// signIntermediate declares the certificate of an intermediate authority that has its key elsewhere.
func (t *Trust) signIntermediate(
	ctx *pulumi.Context, name string, request pulumi.StringInput, opts ...pulumi.ResourceOption,
) (*tls.LocallySignedCert, error) {
	return tls.NewLocallySignedCert(ctx, name, &tls.LocallySignedCertArgs{
		CaCertPem:           t.signing.certificate.CertPem,
		CaPrivateKeyPem:     t.signing.key.PrivateKeyPem,
		CertRequestPem:      request,
		IsCaCertificate:     pulumi.Bool(true),
		SetSubjectKeyId:     pulumi.Bool(true),
		AllowedUses:         authorityUses(),
		ValidityPeriodHours: pulumi.Int(intermediateHours),
		EarlyRenewalHours:   pulumi.Int(intermediateRenewalHours),
	}, opts...)
}

// bootstrapListener declares the certificate and the key that one machine listens with until Vault can issue certificates.
// The first of its DNS names is the common name.
func (t *Trust) bootstrapListener(
	ctx *pulumi.Context, name string, dnsNames []string, addresses pulumi.StringArray, parent pulumi.Resource,
) (certificate, key pulumi.StringOutput, err error) {
	private, err := newKey(ctx, name, parent)
	if err != nil {
		return certificate, key, err
	}
	request, err := tls.NewCertRequest(ctx, name, &tls.CertRequestArgs{
		PrivateKeyPem: private.PrivateKeyPem,
		DnsNames:      pulumi.ToStringArray(dnsNames),
		IpAddresses:   append(pulumi.StringArray{pulumi.String("127.0.0.1")}, addresses...),
		Subject:       tls.CertRequestSubjectArgs{CommonName: pulumi.String(dnsNames[0])},
	}, pulumi.Parent(parent))
	if err != nil {
		return certificate, key, fmt.Errorf("request bootstrap certificate of %s: %w", name, err)
	}
	cert, err := tls.NewLocallySignedCert(ctx, name, &tls.LocallySignedCertArgs{
		CaCertPem:           t.machine.certificate.CertPem,
		CaPrivateKeyPem:     t.machine.key.PrivateKeyPem,
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
