package components

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/pulumi/pulumi-consul/sdk/v3/go/consul"
	"github.com/pulumi/pulumi-vault/sdk/v6/go/vault"
	"github.com/pulumi/pulumi-vault/sdk/v6/go/vault/jwt"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"hashistack/components/policies"
	"hashistack/internal/names"
)

// WorkloadIdentityType is the type token of WorkloadIdentity.
const WorkloadIdentityType = typePrefix + "WorkloadIdentity"

const (
	// workloads is the name that Nomad's agents use by default for the role in Vault and the auth method in Consul.
	workloads = "nomad-workloads"
	// secretsMount is where the secrets of workloads live, a folder per namespace and job.
	secretsMount = "secret"
)

// WorkloadIdentityArgs describes how workloads log in.
type WorkloadIdentityArgs struct {
	Vault  *Vault
	Consul *Consul
	Nomad  *Nomad
	Trust  *Trust
	// Period is how long a task's Vault token lives without renewal by its Nomad client.
	Period time.Duration
}

// WorkloadIdentity lets what runs on Nomad log in to Vault and Consul with the identity that Nomad signs for it: a task
// reads the secrets of its own namespace and job, a service registers under its own name. Vault and Consul verify the
// signatures with the keys that Nomad's servers publish.
type WorkloadIdentity struct {
	pulumi.ResourceState
}

// NewWorkloadIdentity declares the logins of workloads.
func NewWorkloadIdentity(
	ctx *pulumi.Context, name string, args *WorkloadIdentityArgs, opts ...pulumi.ResourceOption,
) (*WorkloadIdentity, error) {
	w := &WorkloadIdentity{}
	if err := ctx.RegisterComponentResource(WorkloadIdentityType, name, w, opts...); err != nil {
		return nil, fmt.Errorf("register workload identity %s: %w", name, err)
	}
	// The keys are fetched by a name that every machine knows without Consul, so that no login depends on DNS.
	jwks := fmt.Sprintf("https://%s:%d/.well-known/jwks.json", names.NomadName, names.NomadPort)
	if err := w.vault(ctx, args, jwks); err != nil {
		return nil, err
	}
	if err := w.consul(ctx, args, jwks); err != nil {
		return nil, err
	}
	return w, ctx.RegisterResourceOutputs(w, pulumi.Map{})
}

// vault declares the auth method, the role and the policy of workloads in Vault, and the store of their secrets.
func (w *WorkloadIdentity) vault(ctx *pulumi.Context, args *WorkloadIdentityArgs, jwks string) error {
	if _, err := args.Vault.mountKV(ctx, w, secretsMount, "secrets of workloads, by namespace and job"); err != nil {
		return err
	}
	// Vault fetches the keys when the method is written, so Nomad has to be there.
	inside := args.Vault.inside(w, after(args.Nomad.Ready))
	backend, err := jwt.NewAuthBackend(ctx, names.NomadJWT, &jwt.AuthBackendArgs{
		Path:             pulumi.String(names.NomadJWT),
		Type:             pulumi.String("jwt"),
		Description:      pulumi.String("workload identities signed by Nomad"),
		JwksUrl:          pulumi.String(jwks),
		JwksCaPem:        args.Trust.Bundle,
		JwtSupportedAlgs: pulumi.ToStringArray([]string{"RS256", "EdDSA"}),
		DefaultRole:      pulumi.String(workloads),
	}, inside...)
	if err != nil {
		return fmt.Errorf("enable workload logins in Vault: %w", err)
	}
	text := backend.Accessor.ApplyT(func(accessor string) (string, error) {
		return policies.Vault(workloads, policies.Workloads{Accessor: accessor, Mount: secretsMount})
	}).(pulumi.StringOutput)
	policy, err := vault.NewPolicy(ctx, workloads, &vault.PolicyArgs{Name: pulumi.String(workloads), Policy: text}, args.Vault.inside(w)...)
	if err != nil {
		return fmt.Errorf("write Vault policy %s: %w", workloads, err)
	}
	_, err = jwt.NewAuthBackendRole(ctx, workloads, &jwt.AuthBackendRoleArgs{
		Backend:        pulumi.String(names.NomadJWT),
		RoleName:       pulumi.String(workloads),
		RoleType:       pulumi.String("jwt"),
		BoundAudiences: pulumi.ToStringArray([]string{"vault.io"}),
		// One entity for each job of each namespace. The job's ID alone would be one entity for all jobs that share it, and the
		// last login would decide whose secrets all of them read.
		UserClaim:            pulumi.String("/extra_claims/" + names.JobClaim),
		UserClaimJsonPointer: pulumi.Bool(true),
		ClaimMappings: pulumi.ToStringMap(map[string]string{
			"nomad_namespace": "nomad_namespace", "nomad_job_id": "nomad_job_id", "nomad_task": "nomad_task",
		}),
		TokenType:     pulumi.String("service"),
		TokenPolicies: pulumi.ToStringArray([]string{workloads}),
		TokenPeriod:   pulumi.Int(seconds(args.Period)),
	}, args.Vault.inside(w, after(backend, policy))...)
	if err != nil {
		return fmt.Errorf("create Vault role %s: %w", workloads, err)
	}
	return nil
}

// consul declares the auth method of workloads in Consul: services get the right to register under their own name,
// tasks the role of their namespace.
func (w *WorkloadIdentity) consul(ctx *pulumi.Context, args *WorkloadIdentityArgs, jwks string) error {
	inside := args.Consul.site.inside(w, pulumi.Provider(args.Consul.provider), after(args.Nomad.Ready))
	config := args.Trust.Bundle.ApplyT(func(ca string) (string, error) {
		encoded, err := json.Marshal(map[string]any{
			"JWKSURL": jwks, "JWKSCACert": ca,
			"JWTSupportedAlgs": []string{"RS256"}, // what Nomad signs with; Consul refuses to hear of EdDSA
			"BoundAudiences":   []string{"consul.io"},
			"ClaimMappings": map[string]string{
				"nomad_namespace": "nomad_namespace", "nomad_job_id": "nomad_job_id",
				"nomad_task": "nomad_task", "nomad_service": "nomad_service",
			},
		})
		return string(encoded), err
	}).(pulumi.StringOutput)
	method, err := consul.NewAclAuthMethod(ctx, workloads, &consul.AclAuthMethodArgs{
		Name:        pulumi.String(workloads),
		Type:        pulumi.String("jwt"),
		Description: pulumi.String("workload identities signed by Nomad"),
		ConfigJson:  config,
	}, inside...)
	if err != nil {
		return fmt.Errorf("enable workload logins in Consul: %w", err)
	}
	rules, err := policies.Consul("nomad-tasks")
	if err != nil {
		return err
	}
	policy, err := args.Consul.policy(ctx, "nomad-tasks", rules)
	if err != nil {
		return err
	}
	if _, err := consul.NewAclRole(ctx, "nomad-default-tasks", &consul.AclRoleArgs{
		Name:        pulumi.String("nomad-default-tasks"), // as the binding rule below names it
		Description: pulumi.String("tasks in Nomad's namespace default"),
		Policies:    pulumi.StringArray{policy.ID().ToStringOutput()},
	}, args.Consul.inside(w)...); err != nil {
		return fmt.Errorf("create Consul role of tasks: %w", err)
	}
	// Clients of the platform would talk to a job's service of the same name: vault.service.consul is every service that
	// registers as vault.
	others := `"nomad_service" in value`
	for _, service := range names.PlatformServices() {
		others += fmt.Sprintf(" and value.nomad_service != %q", service)
	}
	for name, rule := range map[string]struct{ kind, bind, selector string }{
		"nomad-services": {"service", "${value.nomad_service}", others},
		"nomad-tasks":    {"role", "nomad-${value.nomad_namespace}-tasks", `"nomad_service" not in value`},
	} {
		if _, err := consul.NewAclBindingRule(ctx, name, &consul.AclBindingRuleArgs{
			AuthMethod: pulumi.String(workloads),
			BindType:   pulumi.String(rule.kind),
			BindName:   pulumi.String(rule.bind),
			Selector:   pulumi.String(rule.selector),
		}, args.Consul.inside(w, after(method))...); err != nil {
			return fmt.Errorf("create Consul binding rule %s: %w", name, err)
		}
	}
	return nil
}
