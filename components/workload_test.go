package components

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/components/policies"
	"hashistack/internal/names"
)

// jwks is where Nomad publishes the keys that it signs workload identities with.
const jwks = "https://nomad.hashistack.internal:4646/.well-known/jwks.json"

func TestWorkloadsLogInToVault(t *testing.T) {
	p := newPlatform(t)
	method := p.One(t, "vault:jwt/authBackend:AuthBackend", "jwt-nomad")
	assertInputs(t, method, want{
		"path": "jwt-nomad", "type": "jwt", "jwksUrl": jwks, "jwksCaPem": rootPEM, "defaultRole": "nomad-workloads",
		"jwtSupportedAlgs": list("RS256", "EdDSA"),
	})
	// Vault fetches the keys when it is configured.
	assert.Contains(t, p.dependencies(method), "hashistack:index:NomadBootstrap nomad")
	assertInputs(t, p.One(t, "vault:jwt/authBackendRole:AuthBackendRole", "nomad-workloads"), want{
		"backend": "jwt-nomad", "roleName": "nomad-workloads", "roleType": "jwt",
		"boundAudiences": list("vault.io"),
		"userClaim":      "/extra_claims/hashistack_job", "userClaimJsonPointer": true,
		"claimMappings": map[string]any{"nomad_namespace": "nomad_namespace", "nomad_job_id": "nomad_job_id", "nomad_task": "nomad_task"},
		"tokenType":     "service",
		"tokenPolicies": list("nomad-workloads"),
		"tokenPeriod":   20 * 60,
	})
	rules, err := policies.Vault("nomad-workloads", policies.Workloads{Accessor: jwtAccessor, Mount: "secret"})
	require.NoError(t, err)
	assertInputs(t, p.One(t, "vault:index/policy:Policy", "nomad-workloads"), want{"name": "nomad-workloads", "policy": rules})
	assertInputs(t, p.One(t, "vault:index/mount:Mount", "secret"), want{"path": "secret", "type": "kv", "options.version": "2"})
}

func TestWorkloadsLogInToConsul(t *testing.T) {
	p := newPlatform(t)
	method := p.One(t, "consul:index/aclAuthMethod:AclAuthMethod", "nomad-workloads")
	assertInputs(t, method, want{"name": "nomad-workloads", "type": "jwt"})
	assert.Contains(t, p.dependencies(method), "hashistack:index:NomadBootstrap nomad")
	var config map[string]any
	require.NoError(t, json.Unmarshal([]byte(method.Input("configJson").(string)), &config))
	assert.Equal(t, map[string]any{
		"JWKSURL": jwks, "JWKSCACert": rootPEM,
		"JWTSupportedAlgs": list("RS256"),
		"BoundAudiences":   list("consul.io"),
		"ClaimMappings": map[string]any{
			"nomad_namespace": "nomad_namespace", "nomad_job_id": "nomad_job_id",
			"nomad_task": "nomad_task", "nomad_service": "nomad_service",
		},
	}, config)

	others := `"nomad_service" in value`
	for _, service := range names.PlatformServices() {
		others += ` and value.nomad_service != "` + service + `"`
	}
	require.Contains(t, others, `value.nomad_service != "vault"`)
	// A service gets its own name and nothing else, a task the role of its namespace and nothing else.
	const rules = "consul:index/aclBindingRule:AclBindingRule"
	assert.Len(t, p.All(rules), 2)
	assertInputs(t, p.One(t, rules, "nomad-services"), want{
		"authMethod": "nomad-workloads", "bindType": "service", "bindName": "${value.nomad_service}",
		"selector": others,
	})
	assertInputs(t, p.One(t, rules, "nomad-tasks"), want{
		"authMethod": "nomad-workloads", "bindType": "role", "bindName": "nomad-${value.nomad_namespace}-tasks",
		"selector": `"nomad_service" not in value`,
	})
	assertInputs(t, p.One(t, "consul:index/aclRole:AclRole", "nomad-default-tasks"), want{
		"name":     "nomad-default-tasks", // as the rule names it
		"policies": list(p.One(t, consulPolicy, "nomad-tasks").ID),
	})
}
