package components

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/internal/machine"
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
	for pool, c := range map[string]struct {
		machines []testMachine
		roles    []machine.Role
	}{"server": {serverMachines, serverRoles}, "client": {clientMachines, clientRoles}} {
		rules, err := parts.Of(c.roles).VaultPolicy(pool)
		require.NoError(t, err)
		assertInputs(t, p.One(t, "vault:index/policy:Policy", "machine-"+pool), want{"name": "machine-" + pool, "policy": rules})

		var addresses []string
		for _, m := range c.machines {
			addresses = append(addresses, m.private+"/32")
			login := p.One(t, secretIDs, m.name)
			assertSecret(t, login, "secretId", m.secretID)
			assertInputs(t, login, want{
				"backend": names.AppRole, "roleName": pool,
				"cidrLists": list(m.private + "/32"), // nobody else's user-data opens anything
			})
		}
		assertInputs(t, p.One(t, "vault:appRole/authBackendRole:AuthBackendRole", pool), want{
			"backend": names.AppRole, "roleName": pool,
			"roleId":          pool, // as the machines' user-data says
			"tokenPolicies":   list("machine-" + pool),
			"tokenBoundCidrs": list(addresses...),
			"tokenTtl":        5 * 3600,
			"tokenMaxTtl":     48 * 3600,
			"tokenPeriod":     nil, // no login lives for ever
			"bindSecretId":    nil, // Vault's default: no login without one
		})
	}
}
