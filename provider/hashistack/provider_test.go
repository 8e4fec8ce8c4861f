package hashistack_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/provider/hashistack"
	"hashistack/provider/internal/rig"
)

func specification(t *testing.T) schema.PackageSpec {
	t.Helper()
	answer, err := rig.New(t.Context(), t, "VaultInit", "vault").Server.GetSchema(p.GetSchemaRequest{})
	require.NoError(t, err)
	var spec schema.PackageSpec
	require.NoError(t, json.Unmarshal([]byte(answer.Schema), &spec))
	return spec
}

func TestSchema(t *testing.T) {
	spec := specification(t)
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
		"hashistack:index:GossipInstall", "hashistack:index:GossipUse", "hashistack:index:NomadIntroduction", "hashistack:index:ConsulToken",
		"hashistack:index:StackIdentity",
		"hashistack:index:Membership",
	}, tokens)
	tokens = nil
	for token, object := range spec.Types {
		tokens = append(tokens, token)
		assert.NotEmpty(t, object.Description, token)
		for name, property := range object.Properties {
			assert.NotEmpty(t, property.Description, "%s.%s", token, name)
			assert.Equal(t, slices.Contains(rig.Secrets, name), property.Secret, "%s.%s", token, name)
		}
	}
	assert.ElementsMatch(t, []string{"hashistack:index:Cluster", "hashistack:index:Node", "hashistack:index:Pool"}, tokens)
}

// assertSecrets asserts that every secret in the properties is marked as one, in objects too, and that nothing else is.
func assertSecrets(t *testing.T, path string, properties property.Map) {
	t.Helper()
	for name, value := range properties.All {
		assert.Equal(t, slices.Contains(rig.Secrets, name), value.Secret(), "%s%s is a secret: %#v", path, name, value)
		if value.IsMap() {
			assertSecrets(t, path+name+".", value.AsMap())
		}
	}
}

func TestCheckMarksSecrets(t *testing.T) {
	for resourceType, inputs := range rig.Good(t) {
		t.Run(resourceType, func(t *testing.T) {
			subject := rig.New(t.Context(), t, resourceType, "r")
			assertSecrets(t, "", subject.Checked(inputs))
			// What is refused may be shown, and is no less secret.
			wrong := rig.With(rig.With(inputs, "timeout", "soon"), "network", "everywhere") // each resource has one of them
			resp, err := subject.Server.Check(p.CheckRequest{Urn: subject.URN, Inputs: rig.Properties(wrong)})
			require.NoError(t, err)
			require.NotEmpty(t, resp.Failures)
			assertSecrets(t, "", resp.Inputs)
		})
	}
}

// A preview makes no request, knows what it can, and shows no secret.
func TestPreview(t *testing.T) {
	for resourceType, inputs := range rig.Good(t) {
		t.Run(resourceType, func(t *testing.T) {
			subject := rig.New(t.Context(), t, resourceType, "r")
			preview, err := subject.Server.Create(p.CreateRequest{Urn: subject.URN, Properties: subject.Checked(inputs), DryRun: true})
			require.NoError(t, err)
			assertSecrets(t, "", preview.Properties)
			for _, name := range rig.Outputs[resourceType] {
				value, present := preview.Properties.GetOk(name)
				require.True(t, present, name)
				_, given := subject.Checked(inputs).GetOk(name)
				assert.Equal(t, !given, value.IsComputed(), "%s is unknown until it is there: %#v", name, value)
				assert.Equal(t, !given, value.HasComputed(), "nothing of %s is unknown: %#v", name, value)
			}
		})
	}
}

// unknown takes the values out of inputs. A preview gets such inputs from resources that do not exist yet.
func unknown(value property.Value, deep bool) property.Value {
	switch {
	case deep && value.IsMap():
		values := map[string]property.Value{}
		for name, inner := range value.AsMap().All {
			values[name] = unknown(inner, true)
		}
		return property.New(values)
	case deep && value.IsArray():
		var values []property.Value
		for _, inner := range value.AsArray().All {
			values = append(values, unknown(inner, true))
		}
		return property.New(values)
	default:
		return property.New(property.Computed)
	}
}

func TestPreviewWithUnknownInputs(t *testing.T) {
	for name, deep := range map[string]bool{"whole objects": false, "values in objects": true} {
		for resourceType, inputs := range rig.Good(t) {
			t.Run(name+" of "+resourceType, func(t *testing.T) {
				subject := rig.New(t.Context(), t, resourceType, "r")
				values := map[string]property.Value{}
				for name, value := range rig.Properties(inputs).All {
					values[name] = unknown(value, deep)
				}
				checked, err := subject.Server.Check(p.CheckRequest{Urn: subject.URN, Inputs: property.NewMap(values)})
				require.NoError(t, err)
				require.Empty(t, checked.Failures)
				for name := range inputs {
					assert.True(t, checked.Inputs.Get(name).HasComputed(), name)
					assert.Equal(t, values[name].IsComputed(), checked.Inputs.Get(name).IsComputed(), name)
				}
				assertSecrets(t, "", checked.Inputs)
				_, err = subject.Server.Create(p.CreateRequest{Urn: subject.URN, Properties: checked.Inputs, DryRun: true})
				require.NoError(t, err)
			})
		}
	}
}

func TestDiff(t *testing.T) {
	good := rig.Good(t)
	four := rig.Nodes("https://10.0.2.10:8200", "https://10.0.1.11:8200", "https://10.0.1.12:8200")
	for name, test := range map[string]struct {
		resourceType, property string
		value                  any
		want                   p.DiffKind
	}{
		"Vault's address":     {"VaultInit", "cluster.nodes", four, p.Update},
		"Vault's authority":   {"VaultInit", "cluster.caPem", rig.NewAuthority(t).PEM, p.Update},
		"unseal: new machine": {"VaultUnseal", "machineId", "4711", p.Update},
		"unseal: keys":        {"VaultUnseal", "keys", []any{"b3RoZXI="}, p.Update},
		"Consul's voters":     {"ConsulBootstrap", "expectedVoters", 5, p.Update},
		"Consul's secret":     {"ConsulBootstrap", "bootstrapSecret", rig.OtherSecret, p.UpdateReplace},
		"Nomad's secret":      {"NomadBootstrap", "bootstrapSecret", rig.OtherSecret, p.UpdateReplace},
		"a new gossip key":    {"GossipInstall", "key", rig.OtherGossipKey, p.Update},
		"the gossip key":      {"GossipUse", "key", rig.OtherGossipKey, p.Update},
		"gossip of another":   {"GossipUse", "product", "nomad", p.UpdateReplace},
		"install at another":  {"GossipInstall", "product", "nomad", p.UpdateReplace},
		"another pool":        {"StackIdentity", "pools", map[string]any{"server": map[string]any{"subnet": "10.0.1.0/24"}}, p.Update},
		"another machine":     {"Membership", "machineId", "4712", p.UpdateReplace},
		"another name":        {"Membership", "machine", "server-2", p.UpdateReplace},
		"more at once":        {"Membership", "atOnce", 2, p.Update},
		"other servers":       {"Membership", "nomad.nodes", four, p.Update},
		"another token":       {"Membership", "nomad.token", rig.OtherSecret, p.Update},
		"no Nomad any more":   {"Membership", "nomad", nil, p.Update},
	} {
		t.Run(name, func(t *testing.T) {
			subject := rig.New(t.Context(), t, test.resourceType, "r")
			inputs := good[test.resourceType]
			state := subject.State(inputs)
			assert.False(t, subject.Diff(state, inputs, inputs).HasChanges)

			diff := subject.Diff(state, inputs, rig.With(inputs, test.property, test.value))
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

// A change of any input in the schema, and of anything in it, is a difference. An input that is added later is tested too.
func TestEveryInputIsCompared(t *testing.T) {
	spec := specification(t)
	// What the valid inputs of the tests leave out.
	optional := map[string]any{
		"machineId": "4711", "autoUnseal": true, "nomadClient": true, "shares": 1, "threshold": 1, "pgpKeys": []any{openPGPKey(t)},
	}
	for resourceType, inputs := range rig.Good(t) {
		for name, value := range optional {
			if _, has := spec.Resources["hashistack:index:"+resourceType].InputProperties[name]; has {
				inputs = rig.With(inputs, name, value)
			}
		}
		subject := rig.New(t.Context(), t, resourceType, "r")
		old, state := subject.Checked(inputs), subject.State(inputs)
		for name := range spec.Resources["hashistack:index:"+resourceType].InputProperties {
			t.Run(resourceType+" "+name, func(t *testing.T) {
				value, given := old.GetOk(name)
				require.True(t, given, "add the input to the valid ones of the tests")
				for path, changed := range changes(name, value) {
					diff, err := subject.Server.Diff(p.DiffRequest{
						ID: "r", Urn: subject.URN, State: state, OldInputs: old, Inputs: old.Set(name, changed),
					})
					require.NoError(t, err)
					assert.Len(t, diff.DetailedDiff, 1, "%s", path)
					for found := range diff.DetailedDiff {
						assert.True(t, strings.HasPrefix(path, found), "want %s, got %s", path, found)
					}
				}
			})
		}
	}
}

// openPGPKey is somebody's public key.
func openPGPKey(t *testing.T) string {
	t.Helper()
	key, err := openpgp.NewEntity("alice", "", "alice@example.org", nil)
	require.NoError(t, err)
	var public bytes.Buffer
	require.NoError(t, key.Serialize(&public))
	return base64.StdEncoding.EncodeToString(public.Bytes())
}

// changes are copies of a value with one change each, by the path of that change.
func changes(path string, value property.Value) map[string]property.Value {
	all := map[string]property.Value{}
	switch {
	case value.IsMap():
		for name, inner := range value.AsMap().All {
			for path, changed := range changes(path+"."+name, inner) {
				all[path] = property.New(value.AsMap().Set(name, changed)).WithSecret(value.Secret())
			}
		}
	case value.IsArray():
		list := value.AsArray().AsSlice()
		for path, changed := range changes(path, list[0]) {
			all[path] = property.New(append([]property.Value{changed}, list[1:]...)).WithSecret(value.Secret())
		}
		all[path] = property.New(append(list, list[0])).WithSecret(value.Secret())
	case value.IsString():
		all[path] = property.New(value.AsString() + "x").WithSecret(value.Secret())
	case value.IsNumber():
		all[path] = property.New(value.AsNumber() + 1)
	case value.IsBool():
		all[path] = property.New(!value.AsBool())
	}
	return all
}

// One more root to trust is an update in place of every resource: nothing has to be done once more.
func TestAnotherRootReplacesNothing(t *testing.T) {
	for resourceType, inputs := range rig.Good(t) {
		if resourceType == "StackIdentity" {
			continue // it talks to nobody
		}
		t.Run(resourceType, func(t *testing.T) {
			subject := rig.New(t.Context(), t, resourceType, "r")
			next := rig.NewAuthority(t).PEM
			changed, paths := inputs, map[string]p.PropertyDiff{}
			for name, value := range inputs {
				if cluster, is := value.(map[string]any); is && cluster["caPem"] != nil {
					changed = rig.With(changed, name+".caPem", cluster["caPem"].(string)+next)
					paths[name+".caPem"] = p.PropertyDiff{Kind: p.Update, InputDiff: true}
				} else if name == "caPem" {
					changed = rig.With(changed, name, value.(string)+next)
					paths[name] = p.PropertyDiff{Kind: p.Update, InputDiff: true}
				}
			}
			require.NotEmpty(t, paths)
			diff := subject.Diff(subject.State(inputs), inputs, changed)
			require.True(t, diff.HasChanges)
			assert.Equal(t, paths, diff.DetailedDiff)
			assert.False(t, diff.DeleteBeforeReplace)
		})
	}
}

// A new address must not show as a new root token: everything in Vault depends on that.
func TestPreviewOfAnUpdateKnowsTheSecrets(t *testing.T) {
	for resourceType, output := range map[string]string{"VaultInit": "rootToken", "ConsulBootstrap": "token", "NomadBootstrap": "token"} {
		t.Run(resourceType, func(t *testing.T) {
			subject := rig.New(t.Context(), t, resourceType, "r")
			inputs := rig.Good(t)[resourceType]
			state := subject.State(inputs)
			updated, err := subject.Server.Update(p.UpdateRequest{
				ID: "r", Urn: subject.URN, State: state, Inputs: subject.Checked(rig.With(inputs, "timeout", "1m")), DryRun: true,
			})
			require.NoError(t, err)
			assert.Equal(t, property.New("the "+output).WithSecret(true), updated.Properties.Get(output))
			for name, value := range updated.Properties.All {
				assert.False(t, value.HasComputed(), name)
			}
			assertSecrets(t, "", updated.Properties)
		})
	}
}

func TestWrongHostName(t *testing.T) {
	ca := rig.NewAuthority(t)
	for resourceType, inputs := range map[string]map[string]any{
		"VaultInit":       {"cluster": rig.Cluster(ca, ca.Serve(t, "elsewhere.example", http.NotFoundHandler()))},
		"VaultUnseal":     {"node": rig.Nodes(ca.Serve(t, "elsewhere.example", http.NotFoundHandler()))[0], "caPem": ca.PEM, "keys": []any{"key"}},
		"ConsulBootstrap": {"cluster": rig.Cluster(ca, ca.Serve(t, "elsewhere.example", http.NotFoundHandler())), "expectedVoters": 1, "bootstrapSecret": rig.Secret},
		"NomadBootstrap":  {"cluster": rig.Cluster(ca, ca.Serve(t, "elsewhere.example", http.NotFoundHandler())), "expectedVoters": 1, "bootstrapSecret": rig.Secret},
	} {
		t.Run(resourceType, func(t *testing.T) {
			_, err := rig.New(t.Context(), t, resourceType, "r").Create(rig.With(inputs, "timeout", "1s"))
			require.Error(t, err)
			assert.Contains(t, err.Error(), "timed out after 1s")
			assert.Contains(t, err.Error(), "cannot validate certificate for 127.0.0.1")
		})
	}
}

func TestForgetShell(t *testing.T) {
	for _, name := range []string{"VAULT_ADDR", "VAULT_CACERT", "CONSUL_HTTP_TOKEN", "NOMAD_TOKEN"} {
		t.Setenv(name, "of another platform")
	}
	t.Setenv("HASHISTACK_TEST", "stays")
	require.NoError(t, hashistack.ForgetShell())
	for _, variable := range os.Environ() {
		assert.NotContains(t, variable, "of another platform")
	}
	assert.Equal(t, "stays", os.Getenv("HASHISTACK_TEST"))
}

// What is an empty list in the state is one after an update too: without it, the update after the next could not read the state.
func TestAnUpdateLosesNothing(t *testing.T) {
	asking := []string{"VaultUnseal", "GossipInstall", "GossipUse"} // their updates ask the cluster
	for resourceType, inputs := range rig.Good(t) {
		if slices.Contains(asking, resourceType) {
			continue
		}
		t.Run(resourceType, func(t *testing.T) {
			subject := rig.New(t.Context(), t, resourceType, "r")
			state := subject.State(inputs)
			for name, value := range state.All {
				if value.IsArray() && !strings.HasPrefix(name, "nodes") {
					state = state.Set(name, property.New([]property.Value{}).WithSecret(value.Secret()))
				}
			}
			var changed map[string]any
			switch resourceType {
			case "StackIdentity":
				changed = rig.With(inputs, "pools.batch", map[string]any{"subnet": "10.0.9.0/24", "roles": []any{}, "servers": []any{}})
			case "ConsulToken":
				state, changed = subject.State(inputs), rig.With(inputs, "timeout", "7m") // its policies are never empty
			default:
				changed = rig.With(inputs, "timeout", "7m")
			}
			updated, err := subject.Update(state, inputs, changed)
			require.NoError(t, err)
			for name := range state.All {
				assert.False(t, updated.Properties.Get(name).IsNull(), name)
			}
			again, err := subject.Update(updated.Properties, changed, inputs)
			require.NoError(t, err, "the next update reads what this one has left")
			assert.False(t, subject.Diff(again.Properties, inputs, inputs).HasChanges)
		})
	}
}
