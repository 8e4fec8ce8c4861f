package components

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/components/policies"
)

func TestNomadBootstrap(t *testing.T) {
	p := raisedPlatform(t, func(g *generations) { g.nomadGossip = 4 })
	assertGossipKey(t, p, "nomad", 4, 4646)
	bootstrap := p.One(t, "hashistack:index:NomadBootstrap", "nomad")
	assertSecret(t, bootstrap, "bootstrapSecret", bootstrapUUID)
	assertCluster(t, bootstrap, "cluster", 4646, "")
	assertInputs(t, bootstrap, want{"expectedVoters": len(serverMachines)})
	for _, needed := range []string{
		"vault:kv/secretV2:SecretV2 gossip/nomad",
		consulRole + " consul-nomad-server", // its agents do not start without a token of Consul
	} {
		assert.Contains(t, p.dependencies(bootstrap), needed)
	}

	provider := p.One(t, "pulumi:providers:nomad", "nomad")
	assertSecret(t, provider, "secretId", nomadToken)
	assertInputs(t, provider, want{
		"address": "https://203.0.113.1:4646", "region": "global", "caFile": p.rootPEM, "caPem": nil, "skipVerify": nil,
	})
	assertInputs(t, p.One(t, "nomad:index/nodePool:NodePool", "batch"), want{"name": "batch"})
}

func TestNomadEngine(t *testing.T) {
	const roles = "vault:index/nomadSecretRole:NomadSecretRole"
	p := newPlatform(t)
	token := p.One(t, "nomad:index/aclToken:AclToken", "vault")
	assertInputs(t, token, want{"type": "management", "name": "Vault's Nomad secret engine"})
	assertMadeBeforeTheOldOneGoes(t, token, "name")
	engine := p.One(t, "vault:index/nomadSecretBackend:NomadSecretBackend", "nomad")
	assertSecret(t, engine, "token", nomadEngine)
	assertInputs(t, engine, want{
		"backend": "nomad", "address": "https://nomad.hashistack.internal:4646", "caCert": rootPEM,
		"ttl": 2 * 3600, "maxTtl": 24 * 3600,
	})
	assert.Len(t, p.All(roles), 2)
	assertInputs(t, p.One(t, roles, "nomad-management"), want{
		"backend": "nomad", "role": "management", "type": "management", "policies": nil,
	})
	assertInputs(t, p.One(t, roles, "nomad-deployer"), want{
		"backend": "nomad", "role": "deployer", "type": "client", "policies": list("deployer"),
	})
	rules, err := policies.Nomad("deployer")
	require.NoError(t, err)
	assertInputs(t, p.One(t, "nomad:index/aclPolicy:AclPolicy", "deployer"), want{"name": "deployer", "rulesHcl": rules})
}

func TestNomadEngineGeneration(t *testing.T) {
	p := raisedPlatform(t, func(g *generations) { g.nomadEngine = 2 })
	assertInputs(t, p.One(t, "nomad:index/aclToken:AclToken", "vault"), want{"name": "Vault's Nomad secret engine-2"})
	assertInputs(t, p.One(t, consulTokenType, "consul-engine"), want{"description": "Vault's Consul secret engine"})
	assertGossipKey(t, p, "nomad", 1, 4646)
}
