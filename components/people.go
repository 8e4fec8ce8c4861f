package components

import (
	"fmt"
	"time"

	"github.com/pulumi/pulumi-vault/sdk/v6/go/vault"
	"github.com/pulumi/pulumi-vault/sdk/v6/go/vault/tokenauth"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"hashistack/components/policies"
	"hashistack/internal/names"
)

// PeopleType is the type token of People.
const PeopleType = typePrefix + "People"

// deployerMaxTTL is how long a deployer's token in Vault lives, with all renewals: a working day and the evening after it.
const deployerMaxTTL = 12 * time.Hour

// People are those who work with the platform: operators, who run it, and deployers, who run jobs on it. Which login gives
// somebody one of the policies is each organisation's own.
type People struct {
	pulumi.ResourceState
}

// NewPeople declares what people may do in Vault. What they may do in Consul and Nomad comes with the engines that issue tokens
// there.
func NewPeople(ctx *pulumi.Context, name string, v *Vault, opts ...pulumi.ResourceOption) (*People, error) {
	p := &People{}
	if err := ctx.RegisterComponentResource(PeopleType, name, p, opts...); err != nil {
		return nil, fmt.Errorf("register people %s: %w", name, err)
	}
	if _, err := p.policy(ctx, v, names.Operator, nil); err != nil {
		return nil, err
	}
	// Stacks made before there were People have the policy below the logins of workloads.
	before := pulumi.Aliases([]pulumi.Alias{{ParentURN: pulumi.CreateURN(
		pulumi.String("workloads"), pulumi.String(WorkloadIdentityType), nil, pulumi.String(ctx.Project()), pulumi.String(ctx.Stack()),
	)}})
	deployer, err := p.policy(ctx, v, names.Deployer, policies.Workloads{Mount: secretsMount}, before)
	if err != nil {
		return nil, err
	}
	// Operators hand out deployers' tokens by this role. Without it they could give nobody a policy that they lack themselves.
	if _, err := tokenauth.NewAuthBackendRole(ctx, names.Deployer, &tokenauth.AuthBackendRoleArgs{
		RoleName:            pulumi.String(names.Deployer),
		AllowedPolicies:     pulumi.ToStringArray([]string{names.Deployer}),
		Orphan:              pulumi.Bool(true), // it outlives the token of who made it
		Renewable:           pulumi.Bool(true),
		TokenExplicitMaxTtl: pulumi.Int(seconds(deployerMaxTTL)),
	}, v.inside(p, after(deployer))...); err != nil {
		return nil, fmt.Errorf("create the role of deployers' tokens: %w", err)
	}
	return p, ctx.RegisterResourceOutputs(p, pulumi.Map{})
}

// policy declares a policy in Vault.
func (p *People) policy(ctx *pulumi.Context, v *Vault, name string, params any, more ...pulumi.ResourceOption) (*vault.Policy, error) {
	text, err := policies.Vault(name, params)
	if err != nil {
		return nil, err
	}
	policy, err := vault.NewPolicy(ctx, name, &vault.PolicyArgs{
		Name: pulumi.String(name), Policy: pulumi.String(text),
	}, v.inside(p, more...)...)
	if err != nil {
		return nil, fmt.Errorf("write Vault policy %s: %w", name, err)
	}
	return policy, nil
}
