package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"testing"

	"github.com/hashicorp/consul/api"
	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/tools/native/nativetest"
)

const managementToken = "11111111-2222-3333-4444-555555555555"

type values = nativetest.Values

func list(elements ...string) property.Value {
	var out []property.Value
	for _, e := range elements {
		out = append(out, property.New(e))
	}
	return property.New(out)
}

// startConsul runs an agent with ACLs and returns its address and a client with all rights.
func startConsul(t *testing.T) (string, *api.Client) {
	t.Helper()
	ports := nativetest.Ports(t, 4)
	nativetest.StartAgent(t, map[string]any{
		"ports": map[string]int{
			"http": ports[0], "server": ports[1], "serf_lan": ports[2], "serf_wan": ports[3],
			"dns": -1, "grpc": -1, "grpc_tls": -1, "https": -1,
		},
		"acl": map[string]any{
			"enabled": true, "default_policy": "deny",
			"tokens": map[string]string{"initial_management": managementToken},
		},
	}, nativetest.Binary(t, "consul"), "agent", "-dev", "-bind=127.0.0.1", "-config-file")
	address := fmt.Sprintf("127.0.0.1:%d", ports[0])
	client, err := api.NewClient(&api.Config{Address: address, Token: managementToken})
	require.NoError(t, err)
	nativetest.Eventually(t, "the management token works", func() error {
		_, _, err := client.ACL().TokenReadSelf(nil)
		return err
	})
	return address, client
}

func serve(t *testing.T) *nativetest.Plugin {
	t.Helper()
	provider, err := newProvider()
	require.NoError(t, err)
	return nativetest.Serve(t, "consul", provider)
}

func TestLifecycles(t *testing.T) {
	address, client := startConsul(t)
	s := serve(t).Configured(values{
		"address": property.New(address), "token": property.New(managementToken).WithSecret(true),
	})
	const (
		policyType = "consul:index/aclPolicy:AclPolicy"
		methodType = "consul:index/aclAuthMethod:AclAuthMethod"
	)

	t.Run("AclPolicy", func(t *testing.T) {
		policy := s.Create(policyType, "deploy", values{"rules": property.New(`key_prefix "" { policy = "read" }`)})
		assert.Regexp(t, `^deploy-[0-9a-f]{7}$`, policy.State.Get("name").AsString())
		policy.Update(values{
			"rules": property.New(`key_prefix "" { policy = "write" }`), "description": property.New("changed"),
			"datacenters": list("dc1", "dc2"), "name": property.New("deploy"),
		})
		live, _, err := client.ACL().PolicyReadByName("deploy", nil)
		require.NoError(t, err)
		assert.Equal(t, "changed", live.Description)
		policy.RequireImport(live.ID)

		_, err = s.TryCreate(policyType, "again", values{"rules": property.New(""), "name": property.New("deploy")})
		require.ErrorContains(t, err, "pulumi import consul:index/aclPolicy:AclPolicy")

		// Drift is found.
		live.Description = "by hand"
		_, _, err = client.ACL().PolicyUpdate(live, nil)
		require.NoError(t, err)
		read, err := policy.Read()
		require.NoError(t, err)
		assert.Equal(t, "by hand", read.Inputs.Get("description").AsString())
		policy.Delete()
	})

	t.Run("AclRole and AclToken", func(t *testing.T) {
		policy := s.Create(policyType, "p", values{"rules": property.New("")})
		role := s.Create("consul:index/aclRole:AclRole", "r", values{
			"policies": list(policy.ID), "serviceIdentities": property.New([]property.Value{
				property.New(values{"serviceName": property.New("web")}),
			}),
		})
		role.RequireImport(role.ID)
		token := s.Create("consul:index/aclToken:AclToken", "t", values{
			"description": property.New("a test"),
			"policies":    list(policy.State.Get("name").AsString()),
			"roles":       list(role.State.Get("name").AsString()),
			"nodeIdentities": property.New([]property.Value{property.New(values{
				"nodeName": property.New("n1"), "datacenter": property.New("dc1"),
			})}),
			"templatedPolicies": property.New([]property.Value{property.New(values{
				"templateName":      property.New("builtin/service"),
				"templateVariables": property.New(values{"name": property.New("web")}),
			})}),
		})
		assert.Equal(t, token.ID, token.State.Get("accessorId").AsString())
		_, ok := token.State.GetOk("secretId")
		assert.False(t, ok, "the secret id must not be in the state")

		token.RequireReplace("local", values{"local": property.New(true)})
		token.Update(values{"policies": list(policy.State.Get("name").AsString())})
		role.Update(values{"description": property.New("no rights")})
		token.Delete()
		role.Delete()
		policy.Delete()
	})

	t.Run("AclAuthMethod and AclBindingRule", func(t *testing.T) {
		key := publicKey(t)
		config := func(audience string) property.Value {
			return property.New(`{"BoundAudiences": ["` + audience + `"], "JWTValidationPubKeys": [` + key + `],
				"ClaimMappings": {"nomad_namespace": "nomad_namespace"}}`)
		}
		method := s.Create(methodType, "m", values{
			"type": property.New("jwt"), "configJson": config("consul.io"), "maxTokenTtl": property.New("60m"),
		})
		method.RequireImport(method.ID)
		method.RequireReplace("type", values{"type": property.New("oidc"), "configJson": config("consul.io")})
		method.Update(values{"type": property.New("jwt"), "configJson": config("other"), "name": method.Inputs.Get("name")})

		// Like with the official plugin, creation takes over a method of that name.
		s.Create(methodType, "again", values{
			"type": property.New("jwt"), "configJson": config("consul.io"), "name": method.Inputs.Get("name"),
		})

		rule := s.Create("consul:index/aclBindingRule:AclBindingRule", "b", values{
			"authMethod": method.Inputs.Get("name"), "bindType": property.New("role"),
			"bindName": property.New("nomad-${value.nomad_namespace}-tasks"),
			"selector": property.New(`"nomad_service" not in value`),
		})
		rule.Update(values{
			"authMethod": method.Inputs.Get("name"), "bindType": property.New("role"), "bindName": property.New("tasks"),
		})
		rule.RequireReplace("bindType", values{
			"authMethod": method.Inputs.Get("name"), "bindType": property.New("service"), "bindName": property.New("tasks"),
		})
		rule.RequireImport(rule.ID)
		rule.Delete()
		method.Delete()
	})

	t.Run("ConfigEntry", func(t *testing.T) {
		entry := s.Create("consul:index/configEntry:ConfigEntry", "e", values{
			"kind": property.New("service-defaults"), "name": property.New("web-1"),
			"configJson": property.New(`{"Protocol": "http"}`),
		})
		assert.Equal(t, "service-defaults-web-1", entry.ID)
		entry.RequireImport(entry.ID)
		entry.Update(values{
			"kind": property.New("service-defaults"), "name": property.New("web-1"),
			"configJson": property.New(`{"Protocol": "tcp"}`),
		})
		intentions := s.Create("consul:index/configEntry:ConfigEntry", "i", values{
			"kind": property.New("service-intentions"), "name": property.New("web-1"),
			"configJson": property.New(`{"Sources": [{"Name": "api", "Action": "allow"}]}`),
		})
		intentions.Delete()
		_, err := s.TryCreate("consul:index/configEntry:ConfigEntry", "typo", values{
			"kind": property.New("service-defaults"), "name": property.New("x"), "configJson": property.New(`{"Protocoll": "http"}`),
		})
		require.ErrorContains(t, err, "Protocoll")
		entry.Delete()
	})

}

func TestWrongTokenForgetsNothing(t *testing.T) {
	address, _ := startConsul(t)
	right := serve(t).Configured(values{"address": property.New(address), "token": property.New(managementToken)})
	policy := right.Create("consul:index/aclPolicy:AclPolicy", "p", values{"rules": property.New("")})
	token := right.Create("consul:index/aclToken:AclToken", "t", values{})

	wrong := serve(t).Configured(values{
		"address": property.New(address), "token": property.New("99999999-2222-3333-4444-555555555555"),
	})
	for _, o := range []*nativetest.Object{policy, token} {
		_, err := wrong.Read(p.ReadRequest{ID: o.ID, Urn: o.URN, Properties: o.State, Inputs: o.Inputs})
		require.Error(t, err, "%s is taken for gone", o.URN)
	}
}

func TestRefusals(t *testing.T) {
	s := serve(t)
	t.Run("config", func(t *testing.T) {
		for _, key := range []string{"insecureHttps", "namespace", "nonsense"} {
			r, err := s.CheckConfig(p.CheckRequest{Inputs: property.NewMap(values{key: property.New("x")})})
			require.NoError(t, err)
			require.Len(t, r.Failures, 1)
			assert.Equal(t, key, r.Failures[0].Property)
		}
	})
	t.Run("inputs", func(t *testing.T) {
		r, err := s.Check(p.CheckRequest{
			Urn: nativetest.URN("consul:index/aclPolicy:AclPolicy", "p"),
			Inputs: property.NewMap(values{
				"rules": property.New(""), "name": property.New("p"), "partition": property.New("x"),
			}),
		})
		require.NoError(t, err)
		require.Len(t, r.Failures, 1)
		assert.Contains(t, r.Failures[0].Reason, "partition")
	})
}

func TestPreviewWithUnknownInputs(t *testing.T) {
	s := serve(t) // not configured, as when its config is not known yet
	inputs, err := s.Check(p.CheckRequest{
		Urn:    nativetest.URN("consul:index/aclToken:AclToken", "t"),
		Inputs: property.NewMap(values{"description": property.New(property.Computed)}),
	})
	require.NoError(t, err)
	require.Empty(t, inputs.Failures)
	r, err := s.Server.Create(p.CreateRequest{
		Urn: nativetest.URN("consul:index/aclToken:AclToken", "t"), Properties: inputs.Inputs, DryRun: true,
	})
	require.NoError(t, err)
	assert.True(t, r.Properties.Get("accessorId").IsComputed())
	assert.True(t, r.Properties.Get("description").IsComputed())
}

// publicKey returns a new public key as a JSON string.
func publicKey(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	require.NoError(t, err)
	text, err := json.Marshal(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
	require.NoError(t, err)
	return string(text)
}
