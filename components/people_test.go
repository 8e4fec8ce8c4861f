package components

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/components/policies"
)

func TestDeployersHaveAPolicyAndARole(t *testing.T) {
	p := newPlatform(t)
	rules, err := policies.Vault("deployer", policies.Workloads{Mount: "secret"})
	require.NoError(t, err)
	assertInputs(t, p.One(t, "vault:index/policy:Policy", "deployer"), want{"name": "deployer", "policy": rules})
	role := p.One(t, "vault:tokenauth/authBackendRole:AuthBackendRole", "deployer")
	assertInputs(t, role, want{
		"roleName": "deployer", "allowedPolicies": list("deployer"), "orphan": true, "renewable": true, "tokenExplicitMaxTtl": 12 * 60 * 60,
	})
	assert.Contains(t, p.dependencies(role), "vault:index/policy:Policy deployer")
}

func TestOperatorsHaveAPolicy(t *testing.T) {
	rules, err := policies.Vault("operator", nil)
	require.NoError(t, err)
	assertInputs(t, newPlatform(t).One(t, "vault:index/policy:Policy", "operator"), want{"name": "operator", "policy": rules})
}
