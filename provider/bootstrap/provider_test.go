package bootstrap

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSchema(t *testing.T) {
	answer, err := newSubject(t.Context(), t, "VaultInit", "vault").server.GetSchema(p.GetSchemaRequest{})
	require.NoError(t, err)
	var spec schema.PackageSpec
	require.NoError(t, json.Unmarshal([]byte(answer.Schema), &spec))
	var tokens []string
	for token, resource := range spec.Resources {
		tokens = append(tokens, token)
		assert.NotEmpty(t, resource.Description, token)
		for name, property := range resource.Properties {
			assert.NotEmpty(t, property.Description, "%s.%s", token, name)
		}
	}
	assert.ElementsMatch(t, []string{
		"hashistack:index:VaultInit", "hashistack:index:VaultUnseal", "hashistack:index:ConsulBootstrap", "hashistack:index:NomadBootstrap",
		"hashistack:index:GossipInstall", "hashistack:index:GossipUse", "hashistack:index:Membership",
	}, tokens)
}

// outputs are the names of all outputs of each resource, its inputs among them.
var outputs = map[string][]string{
	"VaultInit":       {"nodes", "caPem", "shares", "threshold", "timeout", "rootToken", "unsealKeys", "recoveryKeys"},
	"VaultUnseal":     {"node", "keys", "caPem", "timeout", "sealed"},
	"ConsulBootstrap": {"nodes", "caPem", "expectedVoters", "bootstrapSecret", "timeout", "accessorId", "token"},
	"NomadBootstrap":  {"nodes", "caPem", "expectedVoters", "bootstrapSecret", "timeout", "accessorId", "token"},
	"GossipInstall":   {"product", "nodes", "caPem", "token", "key", "timeout"},
	"GossipUse":       {"product", "nodes", "caPem", "token", "key", "timeout", "sole"},
	"Membership": {
		"machine", "machineId", "roles", "lane", "atOnce", "region", "vaultNodes", "vaultToken", "unsealKeys", "consulNodes", "consulToken",
		"nomadNodes", "nomadToken", "caPem", "timeout", "nodeId",
	},
}

// secrets are the names of those that nobody may see.
var secrets = []string{"rootToken", "unsealKeys", "recoveryKeys", "keys", "key", "bootstrapSecret", "token", "vaultToken", "consulToken", "nomadToken"}

// state is what the resource has in the stack's state with these inputs.
func (s subject) state(inputs map[string]any) property.Map {
	state := s.checked(inputs)
	for _, name := range outputs[string(s.urn.Type().Name())] {
		if _, present := state.GetOk(name); present {
			continue
		}
		value := property.New("the " + name)
		switch name {
		case "unsealKeys", "recoveryKeys":
			value = property.New([]property.Value{value})
		case "sealed":
			value = property.New(false)
		case "sole":
			value = property.New(true)
		}
		state = state.Set(name, value.WithSecret(slices.Contains(secrets, name)))
	}
	return state
}

// goodInputs are valid inputs of each resource; nothing listens at their addresses.
func goodInputs(t *testing.T) map[string]map[string]any {
	t.Helper()
	ca := newAuthority(t).pem
	three := nodes("https://10.0.1.10:8200", "https://10.0.1.11:8200", "https://10.0.1.12:8200")
	acl := map[string]any{"nodes": three, "caPem": ca, "expectedVoters": 3, "bootstrapSecret": secret}
	gossip := map[string]any{"product": "consul", "nodes": three, "caPem": ca, "token": secret, "key": gossipKey}
	return map[string]map[string]any{
		"VaultInit":       {"nodes": three, "caPem": ca},
		"VaultUnseal":     {"node": three[0], "caPem": ca, "keys": []any{"a2V5"}},
		"ConsulBootstrap": acl,
		"NomadBootstrap":  acl,
		"GossipInstall":   gossip,
		"GossipUse":       gossip,
		"Membership": {
			"machine": "server-1", "machineId": "4711", "roles": []any{"vault", "consul-server", "nomad-server"}, "lane": "servers", "region": "global",
			"vaultNodes": three, "vaultToken": "hvs.root", "unsealKeys": []any{"a2V5"},
			"consulNodes": three, "consulToken": secret, "nomadNodes": three, "nomadToken": secret, "caPem": ca,
		},
	}
}

func TestCheck(t *testing.T) {
	good := goodInputs(t)
	for name, test := range map[string]struct {
		resourceType, property string
		value                  any
		want                   map[string]string
	}{
		"no nodes": {"VaultInit", "nodes", []any{}, map[string]string{"nodes": "must name at least one node"}},
		"not https": {"VaultInit", "nodes", nodes("http://10.0.1.10:8200"), map[string]string{
			"nodes[0].address": `must be like https://10.0.1.10:8200, got "http://10.0.1.10:8200"`,
		}},
		"no port": {"ConsulBootstrap", "nodes", nodes("https://10.0.1.10"), map[string]string{
			"nodes[0].address": `must be like https://10.0.1.10:8200, got "https://10.0.1.10"`,
		}},
		"a name twice": {
			"NomadBootstrap", "nodes",
			[]any{map[string]any{"name": "a", "address": "https://1.2.3.4:1"}, map[string]any{"name": "a", "address": "https://1.2.3.5:1"}},
			map[string]string{"nodes[1].name": `must be unique, "a" is there twice`},
		},
		"node": {"VaultUnseal", "node", map[string]any{"name": "", "address": "x"}, map[string]string{
			"node.name": "must be the machine's logical name, got an empty string", "node.address": `must be like https://10.0.1.10:8200, got "x"`,
		}},
		"no certificate": {"VaultUnseal", "caPem", "hello", map[string]string{"caPem": "must hold at least one PEM certificate, found none in 5 bytes"}},
		"timeout":        {"VaultInit", "timeout", "soon", map[string]string{"timeout": `must be a positive duration like 90s or 10m, got "soon"`}},
		"no time":        {"NomadBootstrap", "timeout", "0s", map[string]string{"timeout": `must be a positive duration like 90s or 10m, got "0s"`}},
		"shares":         {"VaultInit", "shares", 256, map[string]string{"shares": "must be 1 to 255, got 256"}},
		"threshold":      {"VaultInit", "threshold", 6, map[string]string{"threshold": "must be 2 to the number of shares (5), or 1 of 1, got 6"}},
		"one of many":    {"VaultInit", "threshold", 1, map[string]string{"threshold": "must be 2 to the number of shares (5), or 1 of 1, got 1"}},
		"voters":         {"ConsulBootstrap", "expectedVoters", 0, map[string]string{"expectedVoters": "must be at least 1, got 0"}},
		"secret":         {"NomadBootstrap", "bootstrapSecret", "hunter2", map[string]string{"bootstrapSecret": "must be a UUID like 8f2d7b64-…, got 7 characters of another form"}},
		"product":        {"GossipInstall", "product", "vault", map[string]string{"product": `must be consul or nomad, got "vault"`}},
		"short key":      {"GossipUse", "key", "c2hvcnQ=", map[string]string{"key": "must be 32 bytes in base64, got 8 characters of another form"}},
		"no base64":      {"GossipInstall", "key", "hunter2!", map[string]string{"key": "must be 32 bytes in base64, got 8 characters of another form"}},
		"no token":       {"GossipUse", "token", "", map[string]string{"token": "must not be empty"}},
		"no machine": {"Membership", "machine", "", map[string]string{
			"machine": "must not be empty", "vaultNodes": "must hold the machine, \"\", which has the role vault",
			"consulNodes": "must hold the machine, \"\", which has the role consul-server", "nomadNodes": "must hold the machine, \"\", which has the role nomad-server",
		}},
		"no such role":   {"Membership", "roles", []any{"king"}, map[string]string{"roles[0]": `must be one of vault, consul-server, nomad-server, nomad-client, got "king"`}},
		"nobody at once": {"Membership", "atOnce", -1, map[string]string{"atOnce": "must be at least 1, got -1"}},
		"not among them": {"Membership", "nomadNodes", nodes("https://10.0.1.10:4646")[:0], map[string]string{
			"nomadNodes": `must hold the machine, "server-1", which has the role nomad-server`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			subject := newSubject(t.Context(), t, test.resourceType, "r")
			assert.Equal(t, test.want, subject.refused(property.Map{}, with(good[test.resourceType], test.property, test.value)))
		})
	}
}

func TestCheckDefaultsAndSecrets(t *testing.T) {
	good := goodInputs(t)
	vault := newSubject(t.Context(), t, "VaultInit", "vault").checked(good["VaultInit"])
	assert.InDelta(t, 5, vault.Get("shares").AsNumber(), 0)
	assert.InDelta(t, 3, vault.Get("threshold").AsNumber(), 0)
	assert.Equal(t, "10m", vault.Get("timeout").AsString())
	assert.True(t, newSubject(t.Context(), t, "VaultUnseal", "u").checked(good["VaultUnseal"]).Get("keys").Secret())
	assert.True(t, newSubject(t.Context(), t, "ConsulBootstrap", "c").checked(good["ConsulBootstrap"]).Get("bootstrapSecret").Secret())
}

func TestVaultKeysAreFixed(t *testing.T) {
	good := goodInputs(t)["VaultInit"]
	subject := newSubject(t.Context(), t, "VaultInit", "vault")
	old := subject.checked(good)
	for name, value := range map[string]any{"shares": 7, "threshold": 2, "autoUnseal": true} {
		failures := subject.refused(old, with(good, name, value))
		require.Len(t, failures, 1)
		assert.Contains(t, failures[name], "is fixed once Vault is initialised")
		assert.Contains(t, failures[name], "vault operator rekey")
	}
	assert.Empty(t, subject.refused(old, with(good, "timeout", "1m")))
}

// A preview makes no request, knows what it can, and shows no secret.
func TestPreview(t *testing.T) {
	for resourceType, inputs := range goodInputs(t) {
		t.Run(resourceType, func(t *testing.T) {
			subject := newSubject(t.Context(), t, resourceType, "r")
			preview, err := subject.server.Create(p.CreateRequest{Urn: subject.urn, Properties: subject.checked(inputs), DryRun: true})
			require.NoError(t, err)
			for _, name := range outputs[resourceType] {
				value, present := preview.Properties.GetOk(name)
				require.True(t, present, name)
				_, given := subject.checked(inputs).GetOk(name)
				assert.Equal(t, !given, value.IsComputed(), "%s is unknown until it is there: %#v", name, value)
				assert.Equal(t, slices.Contains(secrets, name), value.Secret(), "%s is a secret: %#v", name, value)
			}
		})
	}
}

// unknown is what a preview has for an output of a resource that does not exist yet.
func TestPreviewWithUnknownInputs(t *testing.T) {
	for resourceType, inputs := range goodInputs(t) {
		t.Run(resourceType, func(t *testing.T) {
			subject := newSubject(t.Context(), t, resourceType, "r")
			values := map[string]property.Value{}
			for name := range inputs {
				values[name] = property.New(property.Computed)
			}
			checked, err := subject.server.Check(p.CheckRequest{Urn: subject.urn, Inputs: property.NewMap(values)})
			require.NoError(t, err)
			require.Empty(t, checked.Failures)
			for name := range inputs {
				assert.True(t, checked.Inputs.Get(name).IsComputed(), name)
			}
			_, err = subject.server.Create(p.CreateRequest{Urn: subject.urn, Properties: checked.Inputs, DryRun: true})
			require.NoError(t, err)
		})
	}
}

func TestDiff(t *testing.T) {
	good := goodInputs(t)
	four := nodes("https://10.0.2.10:8200", "https://10.0.1.11:8200", "https://10.0.1.12:8200")
	for name, test := range map[string]struct {
		resourceType, property string
		value                  any
		want                   p.DiffKind
	}{
		"Vault's address":     {"VaultInit", "nodes", four, p.Update},
		"Vault's authority":   {"VaultInit", "caPem", newAuthority(t).pem, p.Update},
		"unseal: new machine": {"VaultUnseal", "machineId", "4711", p.Update},
		"unseal: keys":        {"VaultUnseal", "keys", []any{"b3RoZXI="}, p.Update},
		"Consul's voters":     {"ConsulBootstrap", "expectedVoters", 5, p.Update},
		"Consul's secret":     {"ConsulBootstrap", "bootstrapSecret", otherSecret, p.UpdateReplace},
		"Nomad's secret":      {"NomadBootstrap", "bootstrapSecret", otherSecret, p.UpdateReplace},
		"a new gossip key":    {"GossipInstall", "key", otherGossipKey, p.Update},
		"the gossip key":      {"GossipUse", "key", otherGossipKey, p.Update},
		"gossip of another":   {"GossipUse", "product", "nomad", p.UpdateReplace},
		"install at another":  {"GossipInstall", "product", "nomad", p.UpdateReplace},
		"another machine":     {"Membership", "machineId", "4712", p.UpdateReplace},
		"another name":        {"Membership", "machine", "server-2", p.UpdateReplace},
		"more at once":        {"Membership", "atOnce", 2, p.Update},
		"other servers":       {"Membership", "nomadNodes", four, p.Update},
		"another token":       {"Membership", "nomadToken", otherSecret, p.Update},
	} {
		t.Run(name, func(t *testing.T) {
			subject := newSubject(t.Context(), t, test.resourceType, "r")
			inputs := good[test.resourceType]
			state := subject.state(inputs)
			assert.False(t, subject.diff(state, inputs, inputs).HasChanges)

			diff := subject.diff(state, inputs, with(inputs, test.property, test.value))
			require.True(t, diff.HasChanges)
			for path, change := range diff.DetailedDiff {
				assert.True(t, strings.HasPrefix(path, test.property), path)
				if test.want == p.UpdateReplace {
					assert.Equal(t, test.want, change.Kind)
				} else {
					assert.NotContains(t, string(change.Kind), "replace")
				}
			}
		})
	}
}

// A further root to trust is no reason to do anything once more: of no resource is it more than an update in place.
func TestAnotherRootReplacesNothing(t *testing.T) {
	for resourceType, inputs := range goodInputs(t) {
		t.Run(resourceType, func(t *testing.T) {
			subject := newSubject(t.Context(), t, resourceType, "r")
			bundle := inputs["caPem"].(string) + newAuthority(t).pem
			diff := subject.diff(subject.state(inputs), inputs, with(inputs, "caPem", bundle))
			require.True(t, diff.HasChanges)
			require.Len(t, diff.DetailedDiff, 1)
			assert.Equal(t, p.Update, diff.DetailedDiff["caPem"].Kind)
			assert.False(t, diff.DeleteBeforeReplace)
		})
	}
}

// A new address must not show as a new root token: everything in Vault depends on that.
func TestPreviewOfAnUpdateKnowsTheSecrets(t *testing.T) {
	for resourceType, output := range map[string]string{"VaultInit": "rootToken", "ConsulBootstrap": "token", "NomadBootstrap": "token"} {
		t.Run(resourceType, func(t *testing.T) {
			subject := newSubject(t.Context(), t, resourceType, "r")
			inputs := goodInputs(t)[resourceType]
			state := subject.state(inputs)
			updated, err := subject.server.Update(p.UpdateRequest{
				ID: "r", Urn: subject.urn, State: state, Inputs: subject.checked(with(inputs, "timeout", "1m")), DryRun: true,
			})
			require.NoError(t, err)
			assert.Equal(t, property.New("the "+output).WithSecret(true), updated.Properties.Get(output))
			for name, value := range updated.Properties.All {
				assert.False(t, value.HasComputed(), name)
			}
		})
	}
}

func TestForgetShell(t *testing.T) {
	for _, name := range []string{"VAULT_ADDR", "VAULT_CACERT", "CONSUL_HTTP_TOKEN", "NOMAD_TOKEN"} {
		t.Setenv(name, "of another platform")
	}
	t.Setenv("HASHISTACK_TEST", "stays")
	require.NoError(t, ForgetShell())
	for _, variable := range os.Environ() {
		assert.NotContains(t, variable, "of another platform")
	}
	assert.Equal(t, "stays", os.Getenv("HASHISTACK_TEST"))
}
