package components

import (
	"fmt"

	"github.com/pulumi/pulumi-vault/sdk/v6/go/vault"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"hashistack/internal/names"
	"hashistack/sdks/hashistack"
)

// VaultType is the type token of Vault.
const VaultType = typePrefix + "Vault"

// VaultKeys are the keys that a Vault cluster gives out when it is initialised. They all lie in the stack's encrypted state,
// from which each machine's Vault is unsealed if no service does that.
type VaultKeys struct {
	Shares    int
	Threshold int
	PGPKeys   []string // binary public keys in base64; one for each share, or none
}

// auditDevices record every request. Vault answers none that it can record nowhere, so there are two, and a full disk stops
// only the first: journald throws old entries away rather than fill its disk, and takes what it is sent in any case. The
// second needs no file on the machine, so it is there for machines that were made before it, too.
var auditDevices = []struct {
	kind    string
	options map[string]string
}{
	{"file", map[string]string{"file_path": names.VaultAuditLog}},
	{"syslog", map[string]string{"tag": names.VaultAuditTag, "facility": "AUTH"}},
}

// VaultArgs describes the Vault cluster.
type VaultArgs struct {
	Machines []Machine // with the role vault
	// Via is the machine by whose API the cluster is changed. Empty: the first.
	Via      string
	Trust    *Trust
	Site     Site
	AutoSeal bool // a key management service unseals it
	Keys     VaultKeys
}

// Vault is the Vault cluster: initialised once, unsealed on every machine, with its audit devices and the key-value
// store that holds what the platform itself needs. The machines form the cluster among themselves.
type Vault struct {
	pulumi.ResourceState

	// Address is the API of one of the machines; any of them answers for the cluster.
	Address pulumi.StringOutput
	// RootToken may do everything. It is the stack's own identity.
	RootToken pulumi.StringOutput
	// Keys are the unseal keys, or the recovery keys of a Vault that a key management service unseals: as OpenPGP messages if
	// there are keys to encrypt them for.
	Keys pulumi.StringArrayOutput

	unsealKeys pulumi.StringArrayOutput // none with a key management service
	provider   *vault.Provider
	platform   *vault.Mount
	site       Site
	machines   []Machine
}

// NewVault declares the Vault cluster on machines that boot with Vault.
func NewVault(ctx *pulumi.Context, name string, args *VaultArgs, opts ...pulumi.ResourceOption) (*Vault, error) {
	v := &Vault{site: args.Site, machines: args.Machines, Address: through(args.Machines, args.Via).url(names.VaultPort)}
	if err := ctx.RegisterComponentResource(VaultType, name, v, opts...); err != nil {
		return nil, fmt.Errorf("register Vault %s: %w", name, err)
	}
	usable, err := v.bootstrap(ctx, name, args)
	if err != nil {
		return nil, err
	}
	v.provider, err = vault.NewProvider(ctx, name, &vault.ProviderArgs{
		Address:    v.Address,
		Token:      v.RootToken,
		CaCertFile: args.Trust.File,
		// A child token would end after twenty minutes, in the middle of a long roll.
		SkipChildToken: pulumi.Bool(true),
	}, args.Site.inside(v, after(usable))...)
	if err != nil {
		return nil, fmt.Errorf("configure Vault provider: %w", err)
	}
	for _, device := range auditDevices {
		if _, err = vault.NewAudit(ctx, device.kind, &vault.AuditArgs{
			Type: pulumi.String(device.kind), Path: pulumi.String(device.kind), Options: pulumi.ToStringMap(device.options),
		}, v.inside(v)...); err != nil {
			return nil, fmt.Errorf("enable audit device %s: %w", device.kind, err)
		}
	}
	if v.platform, err = v.mountKV(ctx, v, names.Platform, "what the platform itself needs"); err != nil {
		return nil, err
	}
	return v, ctx.RegisterResourceOutputs(v, pulumi.Map{"address": v.Address})
}

// bootstrap declares that a Vault cluster is initialised, and each machine unsealed. It returns what makes Vault usable.
//
// That does not wait for any machine that is replaced: what a new machine is granted must be in Vault before the machine comes.
// So the machine by which Vault is changed is unsealed by a resource that knows of no machine, and once more like the others.
func (v *Vault) bootstrap(ctx *pulumi.Context, name string, args *VaultArgs) (pulumi.Resource, error) {
	var pgpKeys pulumi.StringArrayInput // none rather than an empty list: existing stacks have no such input
	if len(args.Keys.PGPKeys) > 0 {
		pgpKeys = pulumi.ToStringArray(args.Keys.PGPKeys)
	}
	initialised, err := hashistack.NewVaultInit(ctx, name, &hashistack.VaultInitArgs{
		Cluster:    clusterOf(args.Machines, names.VaultPort, args.Trust.Bundle),
		Shares:     pulumi.Int(args.Keys.Shares),
		Threshold:  pulumi.Int(args.Keys.Threshold),
		AutoUnseal: pulumi.Bool(args.AutoSeal),
		PgpKeys:    pgpKeys,
		Timeout:    v.site.timeout(),
	}, v.site.inside(v)...)
	if err != nil {
		return nil, fmt.Errorf("initialise Vault: %w", err)
	}
	v.RootToken, v.unsealKeys, v.Keys = initialised.RootToken, initialised.UnsealKeys, initialised.UnsealKeys
	if args.AutoSeal {
		v.Keys = initialised.RecoveryKeys
	}
	usable, err := v.unseal(ctx, name, through(args.Machines, args.Via), nil, args.Trust)
	if err != nil {
		return nil, err
	}
	for _, m := range args.Machines {
		// A new machine is sealed.
		if _, err := v.unseal(ctx, m.Name, m, m.Server.ID().ToStringOutput().ToStringPtrOutput(), args.Trust); err != nil {
			return nil, err
		}
	}
	return usable, nil
}

// unseal declares that Vault on a machine is unsealed, and unsealed anew with another identity of the machine.
func (v *Vault) unseal(ctx *pulumi.Context, name string, m Machine, identity pulumi.StringPtrInput, trust *Trust) (pulumi.Resource, error) {
	unsealed, err := hashistack.NewVaultUnseal(ctx, name, &hashistack.VaultUnsealArgs{
		Node:      m.node(names.VaultPort),
		MachineId: identity,
		Keys:      v.unsealKeys, // without any it is only waited for
		CaPem:     trust.Bundle,
		Timeout:   v.site.timeout(),
	}, v.site.inside(v)...)
	if err != nil {
		return nil, fmt.Errorf("unseal Vault on %s: %w", m.Name, err)
	}
	return unsealed, nil
}

// inside are the options of a resource in this Vault.
func (v *Vault) inside(parent pulumi.Resource, more ...pulumi.ResourceOption) []pulumi.ResourceOption {
	return v.site.inside(parent, append(more, pulumi.Provider(v.provider))...)
}

// mountKV declares a version 2 key-value store.
func (v *Vault) mountKV(ctx *pulumi.Context, parent pulumi.Resource, path, description string) (*vault.Mount, error) {
	mount, err := vault.NewMount(ctx, path, &vault.MountArgs{
		Path:        pulumi.String(path),
		Type:        pulumi.String("kv"),
		Options:     pulumi.StringMap{"version": pulumi.String("2")},
		Description: pulumi.String(description),
	}, v.inside(parent)...)
	if err != nil {
		return nil, fmt.Errorf("mount key-value store %s: %w", path, err)
	}
	return mount, nil
}
