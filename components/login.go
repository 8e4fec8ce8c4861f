package components

import (
	"fmt"
	"time"

	"github.com/pulumi/pulumi-vault/sdk/v6/go/vault"
	"github.com/pulumi/pulumi-vault/sdk/v6/go/vault/approle"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

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

// MachineLogin is the machines' way into Vault: for each an AppRole with a policy of its own, and the SecretID that its user-data
// carries. Both the SecretID and the tokens that it yields are good from that machine's private address only.
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
		for _, m := range pool.Machines {
			if err := l.machine(ctx, args, backend, pool, m); err != nil {
				return nil, err
			}
		}
	}
	return l, ctx.RegisterResourceOutputs(l, pulumi.Map{})
}

// machine declares the login of one machine.
func (l *MachineLogin) machine(
	ctx *pulumi.Context, args *MachineLoginArgs, backend *vault.AuthBackend, pool *MachinePool, m PoolMachine,
) error {
	v := args.Vault
	name := pulumi.String("machine-" + m.Name)
	policy, err := vault.NewPolicy(ctx, "machine-"+m.Name, &vault.PolicyArgs{Name: name, Policy: pool.vaultPolicy(m)}, v.inside(l)...)
	if err != nil {
		return fmt.Errorf("write policy of %s: %w", m.Name, err)
	}
	own := pulumi.StringArray{pulumi.String(m.Private.String() + "/32")}
	role, err := approle.NewAuthBackendRole(ctx, m.Name, &approle.AuthBackendRoleArgs{
		Backend:         pulumi.String(names.AppRole),
		RoleName:        pulumi.String(m.Name),
		RoleId:          pulumi.String(m.Name),
		TokenPolicies:   pulumi.StringArray{name},
		TokenTtl:        pulumi.Int(seconds(args.TTL)),
		TokenMaxTtl:     pulumi.Int(seconds(args.MaxTTL)),
		TokenBoundCidrs: own,
	}, v.inside(l, after(backend, policy))...)
	if err != nil {
		return fmt.Errorf("create AppRole of %s: %w", m.Name, err)
	}
	// Its name differs from the machine's because it is another resource than the login of before, which was one of the pool's
	// role: that must last until the machine is replaced.
	_, err = approle.NewAuthBackendRoleSecretId(ctx, "machine-"+m.Name, &approle.AuthBackendRoleSecretIdArgs{
		Backend:   pulumi.String(names.AppRole),
		RoleName:  pulumi.String(m.Name),
		SecretId:  m.SecretID,
		CidrLists: own,
	}, v.inside(l, after(role))...)
	if err != nil {
		return fmt.Errorf("create login of %s: %w", m.Name, err)
	}
	return nil
}
