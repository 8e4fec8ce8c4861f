package components

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/internal/machine/parts"
	"hashistack/internal/names"
)

func TestMachineLogin(t *testing.T) {
	const secretIDs = "vault:appRole/authBackendRoleSecretId:AuthBackendRoleSecretId"
	p := newPlatform(t)
	assertInputs(t, p.One(t, "vault:index/authBackend:AuthBackend", "approle"), want{
		"type": "approle", "path": names.AppRole, "tune": map[string]any{"maxLeaseTtl": "48h0m0s"},
	})
	assert.Len(t, p.All(secretIDs), len(allMachines))
	for _, m := range allMachines {
		of := described(t, m)
		rules, err := parts.Of(of.Roles).VaultPolicy(testCluster(), of)
		require.NoError(t, err)
		assertInputs(t, p.One(t, "vault:index/policy:Policy", "machine-"+m.name), want{"name": "machine-" + m.name, "policy": rules})
		// Neither the login nor what comes of it opens anything elsewhere.
		own := list(m.private + "/32")
		login := p.One(t, secretIDs, "machine-"+m.name)
		assertSecret(t, login, "secretId", m.secretID)
		assertInputs(t, login, want{"backend": names.AppRole, "roleName": m.name, "cidrLists": own})
		assertInputs(t, p.One(t, "vault:appRole/authBackendRole:AuthBackendRole", m.name), want{
			"backend": names.AppRole, "roleName": m.name,
			"roleId":          m.name, // as the machine's user-data says
			"tokenPolicies":   list("machine-" + m.name),
			"tokenBoundCidrs": own,
			"tokenTtl":        5 * 3600,
			"tokenMaxTtl":     48 * 3600,
			"tokenPeriod":     nil, // no login lives for ever
			"bindSecretId":    nil, // Vault's default: no login without one
		})
	}
}
