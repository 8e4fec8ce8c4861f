package components

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/components/policies"
	"hashistack/internal/machine/parts"
	"hashistack/internal/pulumitest"
)

// bootstraps are the resources after which there is a cluster.
var bootstraps = map[string]string{
	"consul": "hashistack:index:ConsulBootstrap", "nomad": "hashistack:index:NomadBootstrap",
}

const (
	consulPolicy = "consul:index/aclPolicy:AclPolicy"
	consulRole   = "vault:consul/secretBackendRole:SecretBackendRole"
)

func TestConsulBootstrap(t *testing.T) {
	p := raisedPlatform(t, func(g *generations) { g.consulGossip = 3 })
	assertGossipKey(t, p, "consul", 3, 8501)
	bootstrap := p.One(t, "hashistack:index:ConsulBootstrap", "consul")
	assertSecret(t, bootstrap, "bootstrapSecret", bootstrapUUID)
	assertCluster(t, bootstrap, "cluster", 8501, "")
	assertInputs(t, bootstrap, want{"expectedVoters": len(serverMachines)})
	// No agent joins another without the key.
	assert.Contains(t, p.dependencies(bootstrap), "vault:kv/secretV2:SecretV2 gossip/consul")

	provider := p.One(t, "pulumi:providers:consul", "consul")
	assertSecret(t, provider, "token", consulToken)
	assertInputs(t, provider, want{
		"address": "https://203.0.113.1:8501", "scheme": "https", "caFile": p.rootPEM, "caPem": nil, "insecureHttps": nil,
	})
}

// A key is installed, then shared, then used: whoever joins meanwhile is understood.
func assertGossipKey(t *testing.T, p *platform, product string, generation, port int) {
	t.Helper()
	name := "gossip/" + product
	assertInputs(t, p.One(t, "random:index/randomBytes:RandomBytes", name), want{
		"length": 32, "keepers.generation": fmt.Sprint(generation),
	})
	for _, act := range []string{"hashistack:index:GossipInstall", "hashistack:index:GossipUse"} {
		declared := p.One(t, act, name)
		assertSecret(t, declared, "key", gossipKey)
		assertCluster(t, declared, "cluster", port, bootstrapUUID)
		assertInputs(t, declared, want{"product": product})
	}
	const shares = "vault:kv/secretV2:SecretV2 "
	install := p.One(t, "hashistack:index:GossipInstall", name)
	assert.NotContains(t, p.dependencies(install), shares+name)
	assert.Contains(t, p.dependencies(p.One(t, "vault:kv/secretV2:SecretV2", name)), "hashistack:index:GossipInstall "+name)
	assert.Subset(t, p.dependencies(p.One(t, "hashistack:index:GossipUse", name)), []string{
		shares + name, bootstraps[product] + " " + product,
	})
	shared := p.One(t, "vault:kv/secretV2:SecretV2", name)
	assertSecret(t, shared, "dataJson", `{"key":"`+gossipKey+`"}`)
	assertInputs(t, shared, want{"mount": "platform", "name": name})
}

func TestConsulEngine(t *testing.T) {
	p := newPlatform(t)
	token := p.One(t, consulTokenType, "consul-engine")
	assertInputs(t, token, want{"policies": list("global-management"), "description": "Vault's Consul secret engine"})
	assertSecret(t, token, "secretId", bootstrapUUID)
	assertCluster(t, token, "cluster", 8501, consulToken)
	assertMadeBeforeTheOldOneGoes(t, token, "secretId")
	engine := p.One(t, "vault:consul/secretBackend:SecretBackend", "consul")
	assertSecret(t, engine, "token", consulEngine)
	assertInputs(t, engine, want{
		"path": "consul", "address": "localhost:8501", "scheme": "https", "caCert": rootPEM, "bootstrap": nil,
		"defaultLeaseTtlSeconds": 2 * 3600, "maxLeaseTtlSeconds": 500 * 3600,
	})
}

// assertMadeBeforeTheOldOneGoes asserts that another value of an input makes another resource, and that the engine has its
// token before the old one is deleted.
func assertMadeBeforeTheOldOneGoes(t *testing.T, declared pulumitest.Resource, inputs ...string) {
	t.Helper()
	assert.Equal(t, inputs, declared.Options.RegisterRPC.GetReplaceOnChanges())
	assert.False(t, declared.Options.RegisterRPC.GetDeleteBeforeReplace())
}

// Another generation is another token of the one engine, and of nothing else.
func TestConsulEngineGeneration(t *testing.T) {
	p := raisedPlatform(t, func(g *generations) { g.consulEngine = 2 })
	assertInputs(t, p.One(t, consulTokenType, "consul-engine"), want{"description": "Vault's Consul secret engine-2"})
	assertInputs(t, p.One(t, "random:index/randomBytes:RandomBytes", "consul-engine"), want{"length": 16, "keepers.generation": "2"})
	assertInputs(t, p.One(t, "nomad:index/aclToken:AclToken", "vault"), want{"name": "Vault's Nomad secret engine"})
	assertGossipKey(t, p, "consul", 1, 8501)
}

// tokenPolicies are the rules of machines' tokens, by the engine's roles.
func tokenPolicies(t *testing.T) map[string]string {
	t.Helper()
	rules := map[string]string{}
	for _, m := range allMachines {
		tokens, err := parts.All().Tokens(testCluster(), described(t, m))
		require.NoError(t, err)
		for _, token := range tokens {
			rules[token.Role] = token.Policy
		}
	}
	return rules
}

// Operators' tokens live for hours, machines' are renewed for as long as the machines run.
func TestConsulRoles(t *testing.T) {
	const hour = 3600
	p := newPlatform(t)
	type role struct {
		policy   string
		ttl, max int
	}
	roles := map[string]role{
		"management": {"global-management", 2 * hour, 24 * hour},
		"deployer":   {"deployer", 2 * hour, 24 * hour},
	}
	for name := range tokenPolicies(t) {
		roles[name] = role{name, 7 * hour, 500 * hour}
	}
	assert.Subset(t, slices.Collect(maps.Keys(roles)), []string{"dns", "agent-server-1", "agent-client-2", "nomad-server"})
	assert.Len(t, p.All(consulRole), len(roles))
	for name, role := range roles {
		assertInputs(t, p.One(t, consulRole, "consul-"+name), want{
			"backend": "consul", "name": name, "consulPolicies": list(role.policy), "ttl": role.ttl, "maxTtl": role.max,
			"consulRoles": nil, "nodeIdentities": nil, "serviceIdentities": nil,
		})
	}
}

func TestConsulPolicies(t *testing.T) {
	p := newPlatform(t)
	rulesOf := tokenPolicies(t)
	for _, name := range []string{"deployer", "nomad-tasks"} {
		rules, err := policies.Consul(name)
		require.NoError(t, err)
		rulesOf[name] = rules
	}
	for name, rules := range rulesOf {
		assert.Equal(t, rules, p.One(t, consulPolicy, name).Input("rules"), name)
		assert.Equal(t, name, p.One(t, consulPolicy, name).Input("name"))
	}
	assert.Len(t, p.All(consulPolicy), len(rulesOf))
	// An agent may speak for its own machine only.
	rules := p.One(t, consulPolicy, "agent-client-1").Input("rules")
	assert.Contains(t, rules, `node "client-1"`)
	assert.NotContains(t, rules, "node_prefix")
	assert.NotContains(t, rules, "client-2")
}
