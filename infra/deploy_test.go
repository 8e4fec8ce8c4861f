package infra

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/internal/pulumitest"
)

// computed is what the providers would add.
// named and sold are a location and a server type as the cloud lists them.
func named(name string) resource.PropertyValue {
	return resource.NewProperty(resource.PropertyMap{"name": resource.NewProperty(name)})
}

func sold(name string, locations ...string) resource.PropertyValue {
	var in []resource.PropertyValue
	for _, location := range locations {
		in = append(in, named(location))
	}
	return resource.NewProperty(resource.PropertyMap{"name": resource.NewProperty(name), "locations": resource.NewProperty(in)})
}

func computed() map[string]resource.PropertyMap {
	text := resource.NewStringProperty
	secret := func(s string) resource.PropertyValue { return resource.MakeSecret(text(s)) }
	return map[string]resource.PropertyMap{
		"hcloud:index/getLocation:getLocation":   {"networkZone": text("eu-central")},
		"hcloud:index/getLocations:getLocations": {"locations": resource.NewProperty([]resource.PropertyValue{named("fsn1")})},
		"hcloud:index/getServerTypes:getServerTypes": {"serverTypes": resource.NewProperty([]resource.PropertyValue{
			sold("cpx22", "fsn1"), sold("cpx32", "fsn1"), sold("cpx42", "fsn1"), sold("cx23", "fsn1"), sold("cx33", "fsn1"),
		})},
		"hcloud:index/primaryIp:PrimaryIp":        {"ipAddress": text("203.0.113.10")},
		"tls:index/privateKey:PrivateKey":         {"privateKeyPem": secret("a private key")},
		"tls:index/selfSignedCert:SelfSignedCert": {"certPem": text("-----BEGIN CERTIFICATE-----\nroot\n-----END CERTIFICATE-----\n"), "validityEndTime": text("2999-12-31T00:00:00Z")},
		"tls:index/certRequest:CertRequest":       {"certRequestPem": text("a request")},
		"tls:index/locallySignedCert:LocallySignedCert": {
			"certPem": text("-----BEGIN CERTIFICATE-----\nsigned\n-----END CERTIFICATE-----\n"),
		},
		"vault:pkiSecret/secretBackendIntermediateSetSigned:SecretBackendIntermediateSetSigned": {
			"importedIssuers": resource.NewArrayProperty([]resource.PropertyValue{text("an issuer")}),
		},
		"random:index/randomBytes:RandomBytes": {
			"base64": secret("AAAAAAAAAAAAAAAAAAAAAA=="), "hex": secret("000102030405060708090a0b0c0d0e0f"),
		},
		"hashistack:index:VaultInit": {
			"rootToken": secret("hvs.root"), "unsealKeys": resource.MakeSecret(resource.NewArrayProperty([]resource.PropertyValue{text("key")})),
		},
		"hashistack:index:ConsulBootstrap":  {"token": secret("consul token")},
		"hashistack:index:NomadBootstrap":   {"token": secret("nomad token")},
		"vault:jwt/authBackend:AuthBackend": {"accessor": text("auth_jwt_1")},
	}
}

// TestDeployProduction runs the program as it is with Pulumi.prod.yaml.
func TestDeployProduction(t *testing.T) {
	t.Setenv("HCLOUD_TOKEN", "a token")
	raw := stackConfig(t, "prod")
	encoded, err := json.Marshal(raw)
	require.NoError(t, err)
	t.Setenv(pulumi.EnvConfig, string(encoded))
	t.Chdir(t.TempDir()) // the root certificate is kept in the working directory

	recorder := &pulumitest.Recorder{Outputs: computed()}
	recorder.Run(t, Deploy)

	servers := recorder.All("hcloud:index/server:Server")
	assert.Len(t, servers, 6)
	for _, server := range servers {
		assert.True(t, server.Secret("userData"), "the login of %s is a secret", server.Name)
	}
	assert.Len(t, recorder.All("hashistack:index:VaultUnseal"), 4, "of each machine, and the first one of all")
	assert.Len(t, recorder.All("vault:appRole/authBackendRoleSecretId:AuthBackendRoleSecretId"), 6)
	assert.Len(t, recorder.All("hashistack:index:Membership"), 6)
	for _, declared := range recorder.Resources() {
		if strings.HasPrefix(declared.Type, "hashistack:index:") {
			assert.Contains(t, declared.Options.Provider, "::pulumi:providers:hashistack::hashistack::", "%s has our one provider", declared.URN)
		}
	}

	exports := recorder.Exports
	for _, secret := range []resource.PropertyKey{"vaultToken", "consulToken", "nomadToken"} {
		assert.True(t, exports[secret].IsSecret(), "%s is a secret", secret)
	}
	for _, public := range []resource.PropertyKey{"machines", "caCertificate", "caFile", "vaultAddress", "consulAddress", "nomadAddress"} {
		assert.Contains(t, exports, public)
		assert.False(t, exports[public].ContainsSecrets(), "%s is public", public)
	}
}

// While the first server is away, an update goes by another one.
func TestDeployViaAnotherServer(t *testing.T) {
	t.Setenv("HCLOUD_TOKEN", "a token")
	raw := stackConfig(t, "prod")
	raw["hashistack:via"] = "server-2"
	encoded, err := json.Marshal(raw)
	require.NoError(t, err)
	t.Setenv(pulumi.EnvConfig, string(encoded))
	t.Chdir(t.TempDir())
	recorder := &pulumitest.Recorder{Outputs: computed()}
	recorder.Outputs["hcloud:index/primaryIp:PrimaryIp::server-2"] = resource.PropertyMap{"ipAddress": resource.NewStringProperty("203.0.113.2")}
	recorder.Run(t, Deploy)
	for product, address := range map[string]string{"vault": "https://203.0.113.2:8200", "consul": "https://203.0.113.2:8501", "nomad": "https://203.0.113.2:4646"} {
		assert.Equal(t, address, recorder.One(t, "pulumi:providers:"+product, product).Input("address"))
	}
	assert.Equal(t, "server-2", recorder.One(t, "hashistack:index:VaultUnseal", "vault").Input("node.name"))
}

// Every number of hashistack:generations reaches what it numbers.
func TestDeployGenerations(t *testing.T) {
	t.Setenv("HCLOUD_TOKEN", "a token")
	raw := stackConfig(t, "prod")
	raw["hashistack:generations"] = `{"consulGossip": 2, "nomadGossip": 3, "consulEngine": 4, "nomadEngine": 5,
		"intermediates": 6, "root": 8, "machineRoot": 7}`
	encoded, err := json.Marshal(raw)
	require.NoError(t, err)
	t.Setenv(pulumi.EnvConfig, string(encoded))
	t.Chdir(t.TempDir())
	recorder := &pulumitest.Recorder{Outputs: computed()}
	recorder.Outputs["tls:index/privateKey:PrivateKey::hashistack-7"] = resource.PropertyMap{"privateKeyPem": resource.MakeSecret(resource.NewStringProperty("key 7"))}
	recorder.Outputs["tls:index/privateKey:PrivateKey::hashistack-8"] = resource.PropertyMap{"privateKeyPem": resource.MakeSecret(resource.NewStringProperty("key 8"))}
	recorder.Run(t, Deploy)

	for _, want := range []struct{ typeToken, name, input, value string }{
		{"random:index/randomBytes:RandomBytes", "gossip/consul", "keepers.generation", "2"},
		{"random:index/randomBytes:RandomBytes", "gossip/nomad", "keepers.generation", "3"},
		{"hashistack:index:ConsulToken", "consul-engine", "description", "Vault's Consul secret engine-4"},
		{"nomad:index/aclToken:AclToken", "vault", "name", "Vault's Nomad secret engine-5"},
		{"vault:pkiSecret/secretBackendIntermediateCertRequest:SecretBackendIntermediateCertRequest", "pki-nomad", "commonName", "pki-nomad-6"},
		{"tls:index/locallySignedCert:LocallySignedCert", "pki-nomad", "caPrivateKeyPem", "key 8"},
		{"tls:index/locallySignedCert:LocallySignedCert", "server-1", "caPrivateKeyPem", "key 7"},
	} {
		assert.Equal(t, want.value, recorder.One(t, want.typeToken, want.name).Input(want.input), "%s of %s", want.input, want.typeToken)
	}
}

func TestDeployRefusesBeforeAnythingIsDeclared(t *testing.T) {
	t.Setenv("HCLOUD_TOKEN", "")
	t.Setenv(pulumi.EnvConfig, `{"hashistack:location": "fsn1"}`)
	recorder := &pulumitest.Recorder{}
	require.ErrorContains(t, recorder.RunErr(t, Deploy), "nothing was changed")
	for _, declared := range recorder.Resources() {
		assert.Equal(t, "pulumi:pulumi:Stack", declared.Type, "only the stack itself may be there")
	}
}

// A pool of clients takes no turns with the servers, whatever it is called.
func TestDeployPoolOfAnyName(t *testing.T) {
	t.Setenv("HCLOUD_TOKEN", "a token")
	raw := stackConfig(t, "prod")
	raw["hashistack:pools"] = clients(`"name": "quorum"`)
	encoded, err := json.Marshal(raw)
	require.NoError(t, err)
	t.Setenv(pulumi.EnvConfig, string(encoded))
	t.Chdir(t.TempDir())
	recorder := &pulumitest.Recorder{Outputs: computed()}
	recorder.Run(t, Deploy)

	const membership = "hashistack:index:Membership"
	servers := recorder.One(t, membership, "server-1").Input("lane")
	assert.Equal(t, servers, recorder.One(t, membership, "server-2").Input("lane"))
	assert.Equal(t, "quorum", recorder.One(t, membership, "quorum-1").Input("lane"))
	assert.False(t, hostname.MatchString(servers.(string)), "a pool could have the name of the servers' lane, %q", servers)
}

// The longest life of a certificate follows from when authorities are renewed.
func TestCertificatesEndBeforeTheirAuthority(t *testing.T) {
	t.Setenv("HCLOUD_TOKEN", "a token")
	encoded, err := json.Marshal(stackConfig(t, "prod"))
	require.NoError(t, err)
	t.Setenv(pulumi.EnvConfig, string(encoded))
	t.Chdir(t.TempDir())
	recorder := &pulumitest.Recorder{Outputs: computed()}
	recorder.Run(t, Deploy)
	renewal := recorder.One(t, "tls:index/locallySignedCert:LocallySignedCert", "pki-consul").Input("earlyRenewalHours")
	assert.InDelta(t, (2 * longestCertificate).Hours(), renewal, 0)
}
