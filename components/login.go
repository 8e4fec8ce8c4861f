package components

import (
	"fmt"
	"time"

	"github.com/pulumi/pulumi-vault/sdk/v6/go/vault"
	"github.com/pulumi/pulumi-vault/sdk/v6/go/vault/approle"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"hashistack/internal/machine/parts"
	"hashistack/internal/names"
)

// MachineLoginType is the type token of MachineLogin.
const MachineLoginType = typePrefix + "MachineLogin"

// MachineLoginArgs describes how machines log in to Vault.
type MachineLoginArgs struct {
	Vault *Vault
	Pools []*MachinePool
	// TTL is how long a machine's Vault token lives without renewal, MaxTTL how long it can be renewed. Vault Agent renews it
	// all the time, and logs in again before the end or when it could not.
	TTL, MaxTTL time.Duration
}

// MachineLogin is the machines' way into Vault: an AppRole per pool with the policies of the pool's roles, and for each
// machine the SecretID that its user-data carries, good from that machine's private address only.
type MachineLogin struct {
	pulumi.ResourceState
}

// NewMachineLogin declares the machines' logins.
func NewMachineLogin(ctx *pulumi.Context, name string, args *MachineLoginArgs, opts ...pulumi.ResourceOption) (*MachineLogin, error) {
	l := &MachineLogin{}
	if err := ctx.RegisterComponentResource(MachineLoginType, name, l, opts...); err != nil {
		return nil, fmt.Errorf("register machine login %s: %w", name, err)
	}
	backend, err := vault.NewAuthBackend(ctx, name, &vault.AuthBackendArgs{
		Type: pulumi.String("approle"),
		Path: pulumi.String(names.AppRole),
		// Vault's own limit, 32 days, would cut longer logins short.
		Tune: vault.AuthBackendTuneArgs{MaxLeaseTtl: pulumi.String(args.MaxTTL.String())},
	}, args.Vault.inside(l)...)
	if err != nil {
		return nil, fmt.Errorf("enable AppRole: %w", err)
	}
	for _, pool := range args.Pools {
		if err := l.pool(ctx, args, backend, pool); err != nil {
			return nil, err
		}
	}
	return l, ctx.RegisterResourceOutputs(l, pulumi.Map{})
}

func (l *MachineLogin) pool(ctx *pulumi.Context, args *MachineLoginArgs, backend *vault.AuthBackend, pool *MachinePool) error {
	v := args.Vault
	text, err := parts.Of(pool.Roles).VaultPolicy(pool.Name)
	if err != nil {
		return fmt.Errorf("policy of pool %s: %w", pool.Name, err)
	}
	policy, err := vault.NewPolicy(ctx, "machine-"+pool.Name, &vault.PolicyArgs{
		Name:   pulumi.String("machine-" + pool.Name),
		Policy: pulumi.String(text),
	}, v.inside(l)...)
	if err != nil {
		return fmt.Errorf("write policy of pool %s: %w", pool.Name, err)
	}
	cidrs := pulumi.StringArray{}
	for _, m := range pool.Machines {
		cidrs = append(cidrs, pulumi.String(m.Private.String()+"/32"))
	}
	role, err := approle.NewAuthBackendRole(ctx, pool.Name, &approle.AuthBackendRoleArgs{
		Backend:         pulumi.String(names.AppRole),
		RoleName:        pulumi.String(pool.Name),
		RoleId:          pulumi.String(pool.Name),
		TokenPolicies:   pulumi.StringArray{pulumi.String("machine-" + pool.Name)},
		TokenTtl:        pulumi.Int(seconds(args.TTL)),
		TokenMaxTtl:     pulumi.Int(seconds(args.MaxTTL)),
		TokenBoundCidrs: cidrs,
	}, v.inside(l, after(backend, policy))...)
	if err != nil {
		return fmt.Errorf("create AppRole of pool %s: %w", pool.Name, err)
	}
	for _, m := range pool.Machines {
		_, err := approle.NewAuthBackendRoleSecretId(ctx, m.Name, &approle.AuthBackendRoleSecretIdArgs{
			Backend:   pulumi.String(names.AppRole),
			RoleName:  pulumi.String(pool.Name),
			SecretId:  m.SecretID,
			CidrLists: pulumi.StringArray{pulumi.String(m.Private.String() + "/32")},
		}, v.inside(l, after(role))...)
		if err != nil {
			return fmt.Errorf("create login of %s: %w", m.Name, err)
		}
	}
	return nil
}
