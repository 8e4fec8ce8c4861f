package components

import (
	"fmt"
	"time"

	"github.com/pulumi/pulumi-vault/sdk/v6/go/vault"
	"github.com/pulumi/pulumi-vault/sdk/v6/go/vault/pkisecret"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"hashistack/internal/vaultpath"
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
	for _, authority := range []struct {
		mount string
		roles map[string][]string // the names that each role may certify
	}{
		{vaultpath.PKIVault, map[string][]string{vaultpath.PKIServer: vaultpath.VaultNames()}},
		{vaultpath.PKIConsul, map[string][]string{
			vaultpath.PKIServer: vaultpath.ConsulServerNames(args.Datacenter),
			vaultpath.PKIClient: vaultpath.ConsulClientNames(args.Datacenter),
		}},
		{vaultpath.PKINomad, map[string][]string{
			vaultpath.PKIServer: vaultpath.NomadServerNames(args.Region),
			vaultpath.PKIClient: vaultpath.NomadClientNames(args.Region),
		}},
	} {
		if err := p.authority(ctx, args, authority.mount, authority.roles); err != nil {
			return nil, err
		}
	}
	return p, ctx.RegisterResourceOutputs(p, pulumi.Map{})
}

// authority declares one intermediate: mount, key and request in Vault, signature by the root, roles.
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
	request, err := pkisecret.NewSecretBackendIntermediateCertRequest(ctx, path, &pkisecret.SecretBackendIntermediateCertRequestArgs{
		Backend:    pulumi.String(path),
		Type:       pulumi.String("internal"),
		CommonName: pulumi.String(path),
		KeyType:    pulumi.String("ec"),
		KeyBits:    pulumi.Int(256),
	}, args.Vault.inside(p, after(mount))...)
	if err != nil {
		return fmt.Errorf("request certificate of %s: %w", path, err)
	}
	signed, err := args.Trust.signIntermediate(ctx, path, request.Csr, pulumi.Parent(p))
	if err != nil {
		return fmt.Errorf("sign certificate of %s: %w", path, err)
	}
	installed, err := pkisecret.NewSecretBackendIntermediateSetSigned(ctx, path, &pkisecret.SecretBackendIntermediateSetSignedArgs{
		Backend:     pulumi.String(path),
		Certificate: signed.CertPem,
	}, args.Vault.inside(p)...)
	if err != nil {
		return fmt.Errorf("install certificate of %s: %w", path, err)
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
			AllowIpSans: pulumi.Bool(role == vaultpath.PKIServer),
			ServerFlag:  pulumi.Bool(true),
			ClientFlag:  pulumi.Bool(true), // agents are each other's clients
			KeyType:     pulumi.String("ec"),
			KeyBits:     pulumi.Int(256),
			// Machines ask for no lifetime of their own, and could get no longer one.
			Ttl:     pulumi.String(fmt.Sprint(seconds(args.Lifetime))),
			MaxTtl:  pulumi.String(fmt.Sprint(seconds(args.Lifetime))),
			NoStore: pulumi.Bool(true), // short-lived by the thousand: nobody revokes them one by one
		}, args.Vault.inside(p, after(installed))...)
		if err != nil {
			return fmt.Errorf("create role %s of %s: %w", role, path, err)
		}
	}
	return nil
}
