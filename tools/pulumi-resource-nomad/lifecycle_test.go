package main

import (
	"fmt"
	"testing"

	"github.com/hashicorp/nomad/api"
	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/tools/native/nativetest"
)

const bootstrapToken = "11111111-2222-3333-4444-555555555555"

type values = nativetest.Values

func list(elements ...property.Value) property.Value { return property.New(elements) }

// startNomad runs a server and client with ACLs and returns its address and a client with all rights.
func startNomad(t *testing.T) (string, *api.Client) {
	t.Helper()
	ports := nativetest.Ports(t, 3)
	nativetest.StartAgent(t, map[string]any{
		"data_dir": t.TempDir(), "bind_addr": "127.0.0.1",
		"ports":  map[string]int{"http": ports[0], "rpc": ports[1], "serf": ports[2]},
		"acl":    map[string]any{"enabled": true},
		"client": map[string]any{"options": map[string]string{"driver.allowlist": "raw_exec"}},
		"plugin": []any{map[string]any{"raw_exec": map[string]any{"config": map[string]any{"enabled": true}}}},
	}, nativetest.Binary(t, "nomad"), "agent", "-dev", "-config")
	address := fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	client, err := api.NewClient(&api.Config{Address: address})
	require.NoError(t, err)
	nativetest.Eventually(t, "the ACL system is bootstrapped", func() error {
		_, _, err := client.ACLTokens().BootstrapOpts(bootstrapToken, nil)
		return err
	})
	client.SetSecretID(bootstrapToken)
	nativetest.Eventually(t, "one ready node", func() error {
		nodes, _, err := client.Nodes().List(nil)
		if err != nil || len(nodes) != 1 || nodes[0].Status != "ready" {
			return fmt.Errorf("nodes %v, error %w", nodes, err)
		}
		return nil
	})
	return address, client
}

func serve(t *testing.T) *nativetest.Plugin {
	t.Helper()
	provider, err := newProvider()
	require.NoError(t, err)
	return nativetest.Serve(t, "nomad", provider)
}

func TestLifecycles(t *testing.T) {
	address, client := startNomad(t)
	s := serve(t).Configured(values{
		"address": property.New(address), "secretId": property.New(bootstrapToken).WithSecret(true),
	})

	t.Run("AclPolicy, AclRole and AclToken", func(t *testing.T) {
		rules := property.New(`namespace "default" { policy = "read" }`)
		policy := s.Create("nomad:index/aclPolicy:AclPolicy", "p", values{
			"rulesHcl": rules, "jobAcl": property.New(values{"jobId": property.New("web")}),
		})
		name := policy.State.Get("name")
		assert.Regexp(t, `^p-[0-9a-f]{7}$`, name.AsString())
		policy.RequireImport(policy.ID)
		policy.RequireReplace("name", values{"rulesHcl": rules, "name": property.New("other")})
		policy.Update(values{"rulesHcl": rules, "name": name, "description": property.New("changed")})

		role := s.Create("nomad:index/aclRole:AclRole", "r", values{
			"policies": list(property.New(values{"name": name})), "name": property.New("deployer"),
		})
		role.RequireImport(role.ID)
		_, err := s.TryCreate("nomad:index/aclRole:AclRole", "again", values{
			"policies": list(property.New(values{"name": name})), "name": property.New("deployer"),
		})
		require.ErrorContains(t, err, "pulumi import nomad:index/aclRole:AclRole")

		token := s.Create("nomad:index/aclToken:AclToken", "t", values{
			"type": property.New("client"), "policies": list(name),
			"roles": list(property.New(values{"id": property.New(role.ID)})), "expirationTtl": property.New("1h"),
		})
		live, _, err := client.ACLTokens().Info(token.ID, nil)
		require.NoError(t, err)
		assert.Equal(t, property.New(live.SecretID).WithSecret(true), token.State.Get("secretId"))
		assert.NotEmpty(t, token.State.Get("expirationTime").AsString())
		token.RequireReplace("global", values{"type": property.New("client"), "policies": list(name), "global": property.New(true)})
		token.RequireImport(token.ID)
		token.Update(values{
			"type": property.New("client"), "policies": list(name), "name": property.New("renamed"),
			"expirationTtl": property.New("1h"),
		})
		assert.Equal(t, property.New(live.SecretID).WithSecret(true), token.State.Get("secretId"))
		token.Delete()
		role.Update(values{
			"policies": list(property.New(values{"name": name})), "name": property.New("deployer"),
			"description": property.New("changed"),
		})
		role.Delete()
		policy.Delete()
	})

	t.Run("AclAuthMethod and AclBindingRule", func(*testing.T) {
		method := func(audience string) values {
			return values{
				"type": property.New("JWT"), "tokenLocality": property.New("local"), "maxTokenTtl": property.New("60m"),
				"config": property.New(values{
					"jwksUrl":        property.New("http://127.0.0.1:1/jwks.json"),
					"boundAudiences": list(property.New(audience)),
					"claimMappings":  property.New(values{"sub": property.New("who")}),
				}),
			}
		}
		m := s.Create("nomad:index/aclAuthMethod:AclAuthMethod", "m", method("nomad"))
		m.RequireImport(m.ID)
		changed := method("other")
		changed["name"] = m.Inputs.Get("name")
		m.Update(changed)
		renamed := method("other")
		renamed["name"] = property.New("renamed")
		m.RequireReplace("name", renamed)

		rule := s.Create("nomad:index/aclBindingRule:AclBindingRule", "b", values{
			"authMethod": m.Inputs.Get("name"), "bindType": property.New("management"),
			"selector": property.New(`value.who == "admin"`),
		})
		rule.RequireImport(rule.ID)
		rule.Update(values{
			"authMethod": m.Inputs.Get("name"), "bindType": property.New("policy"), "bindName": property.New("p"),
		})
		rule.Delete()
		m.Delete()
	})

	t.Run("Namespace", func(*testing.T) {
		ns := s.Create("nomad:index/namespace:Namespace", "ns", values{"name": property.New("apps")})
		ns.RequireImport("apps")
		ns.RequireReplace("name", values{"name": property.New("other")})
		ns.Update(values{
			"name": property.New("apps"), "description": property.New("changed"),
			"meta":         property.New(values{"owner": property.New("us")}),
			"capabilities": property.New(values{"disabledTaskDrivers": list(property.New("docker"))}),
		})
		ns.Delete()
	})

	t.Run("NodePool", func(t *testing.T) {
		pool := s.Create("nomad:index/nodePool:NodePool", "pool", values{"name": property.New("gpu")})
		assert.NotEmpty(t, pool.State.Get("nodeIdentityTtl").AsString())
		pool.RequireImport("gpu")
		pool.Update(values{
			"name": property.New("gpu"), "description": property.New("changed"), "nodeIdentityTtl": property.New("48h"),
		})
		pool.Delete()
	})

	t.Run("SchedulerConfig", func(t *testing.T) {
		config := s.Create("nomad:index/schedulerConfig:SchedulerConfig", "c", values{
			"schedulerAlgorithm": property.New("spread"),
			"preemptionConfig":   property.New(values{"service_scheduler_enabled": property.New(true)}),
		})
		config.Update(values{"schedulerAlgorithm": property.New("binpack")})
		live, _, err := client.Operator().SchedulerGetConfiguration(nil)
		require.NoError(t, err)
		assert.Equal(t, api.SchedulerAlgorithmBinpack, live.SchedulerConfig.SchedulerAlgorithm)
		assert.True(t, live.SchedulerConfig.PreemptionConfig.ServiceSchedulerEnabled, "what is left out must stay")
	})

	t.Run("Variable", func(t *testing.T) {
		items := property.New(values{"user": property.New("u"), "password": property.New("p")})
		v := s.Create("nomad:index/variable:Variable", "v", values{
			"path": property.New("nomad/jobs/web"), "items": items.WithSecret(true),
		})
		assert.True(t, v.State.Get("items").Secret(), "the items must be secret")
		v.RequireImport("nomad/jobs/web@default")
		v.RequireReplace("path", values{"path": property.New("other"), "items": items})
		v.Update(values{
			"path": property.New("nomad/jobs/web"), "items": property.New(values{"user": property.New("v")}).WithSecret(true),
		})
		v.Delete()
	})

	t.Run("Variable in another namespace", func(*testing.T) {
		ns := s.Create("nomad:index/namespace:Namespace", "team", values{"name": property.New("team")})
		v := s.Create("nomad:index/variable:Variable", "v", values{
			"path": property.New("nomad/jobs/web"), "namespace": property.New("team"),
			"items": property.New(values{"user": property.New("u")}).WithSecret(true),
		})
		v.RequireImport("nomad/jobs/web@team")
		v.Delete()
		ns.Delete()
	})
}

// A product that refuses a change may have made a part of it: as in the official plugins, the state is what was asked for, and the
// next update tries again.
func TestAFailedUpdateIsTriedAgain(t *testing.T) {
	address, client := startNomad(t)
	s := serve(t).Configured(values{"address": property.New(address), "secretId": property.New(bootstrapToken)})
	policy := s.Create("nomad:index/aclPolicy:AclPolicy", "p", values{"rulesHcl": property.New(`namespace "default" { policy = "read" }`)})
	bad := policy.Inputs.Set("rulesHcl", property.New(`namespace "default" { policy = "nonsense" }`))
	failed, err := s.Server.Update(p.UpdateRequest{ID: policy.ID, Urn: policy.URN, State: policy.State, OldInputs: policy.Inputs, Inputs: bad})
	require.Error(t, err)
	require.NotNil(t, failed.PartialState, "the resource is kept, with a reason")
	assert.Contains(t, failed.PartialState.Reasons[0], "update ACL policy")
	assert.Equal(t, bad.Get("rulesHcl"), failed.Properties.Get("rulesHcl"), "what was asked for")
	live, _, err := client.ACLPolicies().Info(policy.ID, nil)
	require.NoError(t, err)
	assert.Contains(t, live.Rules, "read", "what is there")
}

func TestWrongTokenForgetsNothing(t *testing.T) {
	address, _ := startNomad(t)
	right := serve(t).Configured(values{"address": property.New(address), "secretId": property.New(bootstrapToken)})
	policy := right.Create("nomad:index/aclPolicy:AclPolicy", "p", values{"rulesHcl": property.New("")})
	wrong := serve(t).Configured(values{
		"address": property.New(address), "secretId": property.New("99999999-2222-3333-4444-555555555555"),
	})
	_, err := wrong.Read(p.ReadRequest{ID: policy.ID, Urn: policy.URN, Properties: policy.State, Inputs: policy.Inputs})
	require.Error(t, err, "the policy is taken for gone")
}

func TestRefusals(t *testing.T) {
	s := serve(t)
	for _, key := range []string{"skipVerify", "authJwt", "ignoreEnvVars"} {
		r, err := s.CheckConfig(p.CheckRequest{Inputs: property.NewMap(values{key: property.New("x")})})
		require.NoError(t, err)
		require.Len(t, r.Failures, 1)
		assert.Equal(t, key, r.Failures[0].Property)
	}
	r, err := s.Check(p.CheckRequest{
		Urn:    nativetest.URN("nomad:index/namespace:Namespace", "n"),
		Inputs: property.NewMap(values{"quota": property.New("q")}), RandomSeed: []byte("seed"),
	})
	require.NoError(t, err)
	require.Len(t, r.Failures, 1)
	assert.Contains(t, r.Failures[0].Reason, "quota")
}
