package components

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pulumi/pulumi-vault/sdk/v6/go/vault"
	"github.com/pulumi/pulumi-vault/sdk/v6/go/vault/pkisecret"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"hashistack/internal/machine"
	"hashistack/internal/machine/parts"
	"hashistack/internal/names"
)

// PKIType is the type token of PKI.
const PKIType = typePrefix + "PKI"

// PKIArgs describes the certificate authorities in Vault.
type PKIArgs struct {
	Vault      *Vault
	Trust      *Trust
	Datacenter string // Consul's
	Region     string // Nomad's
	Lifetime   time.Duration
	// Generation is the number of the intermediates: another one makes new ones, with new keys.
	Generation int
}

// PKI is an intermediate certificate authority in Vault for each product. Its key is made in Vault and never leaves;
// the stack's root signs it. Each has a role for each kind of agent that admits the names of that kind and no others:
// a client can therefore never get a certificate with which it could pass for a server.
type PKI struct {
	pulumi.ResourceState
}

// NewPKI declares the certificate authorities.
func NewPKI(ctx *pulumi.Context, name string, args *PKIArgs, opts ...pulumi.ResourceOption) (*PKI, error) {
	p := &PKI{}
	if err := ctx.RegisterComponentResource(PKIType, name, p, opts...); err != nil {
		return nil, fmt.Errorf("register PKI %s: %w", name, err)
	}
	// What each authority's roles may certify: what the parts of machines ask it for.
	authorities := map[string]map[string][]string{}
	for _, c := range parts.All().Certificates() {
		if authorities[c.Authority] == nil {
			authorities[c.Authority] = map[string][]string{}
		}
		authorities[c.Authority][c.Role] = c.Names(machine.Cluster{Datacenter: args.Datacenter, Region: args.Region})
	}
	for _, mount := range sortedKeys(authorities) {
		if err := p.authority(ctx, args, mount, authorities[mount]); err != nil {
			return nil, err
		}
	}
	return p, ctx.RegisterResourceOutputs(p, pulumi.Map{})
}

// authority declares one authority: its mount, the intermediate that it issues with, and its roles.
func (p *PKI) authority(ctx *pulumi.Context, args *PKIArgs, path string, roles map[string][]string) error {
	mount, err := vault.NewMount(ctx, path, &vault.MountArgs{
		Path:               pulumi.String(path),
		Type:               pulumi.String("pki"),
		Description:        pulumi.String("intermediate certificate authority"),
		MaxLeaseTtlSeconds: pulumi.Int(intermediateHours * 3600),
	}, args.Vault.inside(p)...)
	if err != nil {
		return fmt.Errorf("mount %s: %w", path, err)
	}
	issuer, err := p.intermediate(ctx, args, path, mount)
	if err != nil {
		return err
	}
	for _, role := range sortedKeys(roles) {
		_, err := pkisecret.NewSecretBackendRole(ctx, path+"-"+role, &pkisecret.SecretBackendRoleArgs{
			Backend:          pulumi.String(path),
			Name:             pulumi.String(role),
			AllowedDomains:   pulumi.ToStringArray(roles[role]),
			AllowBareDomains: pulumi.Bool(true),
			AllowSubdomains:  pulumi.Bool(false),
			AllowLocalhost:   pulumi.Bool(false), // the names are listed, localhost among them
			// Vault cannot tell whose an address is, so clients get none: theirs could be a server's.
			AllowIpSans: pulumi.Bool(role == names.PKIServer),
			ServerFlag:  pulumi.Bool(true),
			ClientFlag:  pulumi.Bool(true), // agents are each other's clients
			KeyType:     pulumi.String("ec"),
			KeyBits:     pulumi.Int(256),
			// Machines ask for no lifetime of their own, and could get no longer one.
			Ttl:     pulumi.String(fmt.Sprint(seconds(args.Lifetime))),
			MaxTtl:  pulumi.String(fmt.Sprint(seconds(args.Lifetime))),
			NoStore: pulumi.Bool(true), // short-lived by the thousand: nobody revokes them one by one
		}, args.Vault.inside(p, after(issuer))...)
		if err != nil {
			return fmt.Errorf("create role %s of %s: %w", role, path, err)
		}
	}
	return nil
}

// intermediate declares what a mount issues with: key and request in Vault, signature by the root, import, and only then
// the choice as the mount's default issuer, which its roles use.
//
// Another generation, or a renewal in the last year, goes the same way again. The mount keeps the issuers that it has: it can
// have any number (https://developer.hashicorp.com/vault/docs/secrets/pki/rotation-primitives). Nobody has to be told
// beforehand, because everybody trusts the root, and every certificate is presented with its chain. Certificates of the
// earlier issuers stay valid.
func (p *PKI) intermediate(ctx *pulumi.Context, args *PKIArgs, path string, mount pulumi.Resource) (pulumi.Resource, error) {
	request, err := pkisecret.NewSecretBackendIntermediateCertRequest(ctx, path, &pkisecret.SecretBackendIntermediateCertRequestArgs{
		Backend:    pulumi.String(path),
		Type:       pulumi.String("internal"),
		CommonName: pulumi.String(numbered(path, args.Generation)), // another one is another request, with a new key
		KeyType:    pulumi.String("ec"),
		KeyBits:    pulumi.Int(256),
	}, args.Vault.inside(p, after(mount))...)
	if err != nil {
		return nil, fmt.Errorf("request certificate of %s: %w", path, err)
	}
	signed, err := args.Trust.signIntermediate(ctx, path, request.Csr, pulumi.Parent(p))
	if err != nil {
		return nil, fmt.Errorf("sign certificate of %s: %w", path, err)
	}
	installed, err := p.install(ctx, args.Vault, path, path, signed.CertPem)
	if err != nil {
		return nil, err
	}
	present := []pulumi.Resource{installed}
	if cross := args.Trust.cross; cross != nil {
		// Vault finds the issuer of an issuer among those of the mount, and presents it with every certificate.
		installed, err := p.install(ctx, args.Vault, path+"-cross", path, cross.CertPem, mount)
		if err != nil {
			return nil, err
		}
		present = append(present, installed)
	}
	issuer, err := pkisecret.NewSecretBackendConfigIssuers(ctx, path, &pkisecret.SecretBackendConfigIssuersArgs{
		Backend: pulumi.String(path),
		Default: p.importedIssuer(ctx, args.Vault, installed),
	}, args.Vault.inside(p, after(present...))...)
	if err != nil {
		return nil, fmt.Errorf("choose issuer of %s: %w", path, err)
	}
	return issuer, nil
}

// install declares the import of a certificate into a mount: of an intermediate whose key is there, or of an authority above
// it.
func (p *PKI) install(
	ctx *pulumi.Context, v *Vault, name, path string, certificate pulumi.StringInput, wait ...pulumi.Resource,
) (*pkisecret.SecretBackendIntermediateSetSigned, error) {
	installed, err := pkisecret.NewSecretBackendIntermediateSetSigned(ctx, name, &pkisecret.SecretBackendIntermediateSetSignedArgs{
		Backend:     pulumi.String(path),
		Certificate: certificate,
	}, v.inside(p, after(wait...))...)
	if err != nil {
		return nil, fmt.Errorf("install certificate %s: %w", name, err)
	}
	return installed, nil
}

// importedIssuer is the ID of the issuer that the import of one certificate has made.
//
// Vault lists only what it did not have yet. When it has imported a certificate and the update was interrupted before Pulumi
// recorded it, the next update imports it once more and is told of nothing new: then it is looked up.
func (p *PKI) importedIssuer(
	ctx *pulumi.Context, v *Vault, installed *pkisecret.SecretBackendIntermediateSetSigned,
) pulumi.StringOutput {
	return pulumi.All(installed.Backend, installed.Certificate, installed.ImportedIssuers).ApplyT(
		func(known []any) (pulumi.StringOutput, error) {
			if imported := known[2].([]string); len(imported) == 1 {
				return pulumi.String(imported[0]).ToStringOutput(), nil
			}
			serial, err := serialNumber(known[1].(string))
			if err != nil {
				return pulumi.StringOutput{}, fmt.Errorf("find issuer in %s: %w", known[0], err)
			}
			issuers := pkisecret.GetBackendIssuersOutput(ctx, pkisecret.GetBackendIssuersOutputArgs{
				Backend: pulumi.String(known[0].(string)),
			}, pulumi.Parent(p), pulumi.Provider(v.provider))
			return issuers.KeyInfoJson().ApplyT(func(list string) (string, error) {
				return issuerWithSerial(list, serial)
			}).(pulumi.StringOutput), nil
		}).(pulumi.StringOutput)
}

// serialNumber is that of a certificate as Vault writes it: bytes in hexadecimal with colons.
func serialNumber(certificate string) (string, error) {
	block, _ := pem.Decode([]byte(certificate))
	if block == nil {
		return "", errors.New("its certificate is no PEM")
	}
	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", fmt.Errorf("parse its certificate: %w", err)
	}
	return strings.ReplaceAll(fmt.Sprintf("% x", parsed.SerialNumber.Bytes()), " ", ":"), nil
}

// issuerWithSerial is the ID of the issuer whose certificate has a serial number, in Vault's list of a mount's issuers.
func issuerWithSerial(list, serial string) (string, error) {
	var issuers map[string]struct {
		SerialNumber string `json:"serial_number"`
	}
	if err := json.Unmarshal([]byte(list), &issuers); err != nil {
		return "", fmt.Errorf("read Vault's list of issuers: %w", err)
	}
	for id, issuer := range issuers {
		if issuer.SerialNumber == serial {
			return id, nil
		}
	}
	return "", fmt.Errorf("none of its issuers has a certificate with the serial number %s", serial)
}
