package hashistack_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/structpb"

	"hashistack/provider/internal/rig"
)

// recorded is the state of a resource of the version at commit 92b9c89, as Pulumi sends it to a provider, with marks on the
// secrets. That version's own code has written the file. It can go when the migrations do.
type recorded struct{ Inputs, Outputs wire }

type wire struct{ property.Map }

func (w *wire) UnmarshalJSON(text []byte) error {
	var properties structpb.Struct
	if err := properties.UnmarshalJSON(text); err != nil {
		return err
	}
	decoded, err := plugin.UnmarshalProperties(&properties, plugin.MarshalOptions{KeepSecrets: true})
	w.Map = resource.FromResourcePropertyValue(resource.NewProperty(decoded)).AsMap()
	return err
}

// upgrade is a resource of the version before, and what the program gives it today.
type upgrade struct {
	rig.Subject
	before recorded
	inputs map[string]any
}

func upgrades(t *testing.T) map[string]upgrade {
	t.Helper()
	text, err := os.ReadFile("testdata/before.json")
	require.NoError(t, err)
	var before map[string]recorded
	require.NoError(t, json.Unmarshal(text, &before))

	pem := before["VaultInit"].Inputs.Get("caPem").AsString()
	three := rig.Nodes("https://127.0.0.10:1", "https://127.0.0.11:1", "https://127.0.0.12:1") // nothing listens there
	cluster := map[string]any{"nodes": three, "caPem": pem}
	of := func(token string) map[string]any { return rig.With(cluster, "token", token) }
	acl := map[string]any{"cluster": cluster, "expectedVoters": 3, "bootstrapSecret": rig.Secret}
	gossip := map[string]any{"product": "consul", "cluster": of(rig.Secret), "key": rig.GossipKey}
	member := func(machine string, more map[string]any) map[string]any {
		inputs := map[string]any{
			"machine": machine, "machineId": "4711", "lane": "quorum", "atOnce": 1, "region": "global", "consul": of(rig.Secret), "timeout": "10m0s",
		}
		for name, value := range more {
			inputs = rig.With(inputs, name, value)
		}
		return inputs
	}
	server := map[string]any{"vault": of("hvs.root"), "unsealKeys": []any{"a2V5"}, "nomad": of(rig.OtherSecret)}
	all := map[string]upgrade{}
	for name, inputs := range map[string]map[string]any{
		"VaultInit":              {"cluster": cluster, "shares": 1, "threshold": 1, "autoUnseal": false},
		"VaultUnseal":            {"node": three[0], "caPem": pem, "keys": []any{"a2V5"}, "machineId": "1"},
		"ConsulBootstrap":        acl,
		"NomadBootstrap":         acl,
		"GossipInstall":          gossip,
		"GossipUse":              gossip,
		"Membership of a server": member("server-1", server),
		"Membership of a server that unseals itself": member("server-1", rig.With(server, "unsealKeys", []any{})),
		"Membership of a client":                     member("client-1", map[string]any{"nomad": of(rig.OtherSecret), "nomadClient": true}),
		"Membership of a Nomad server and client":    member("server-3", map[string]any{"nomad": of(rig.OtherSecret), "nomadClient": true}),
		// This one was among Consul's servers, and had no other role.
		"Membership of a Consul server": member("server-2", nil),
	} {
		resourceType, _, _ := strings.Cut(name, " ")
		require.Contains(t, before, name)
		all[name] = upgrade{rig.New(t.Context(), t, resourceType, "r"), before[name], inputs}
	}
	require.Len(t, all, len(before))
	return all
}

// asToday is what a resource with these inputs has in the state today.
func (u upgrade) asToday() property.Map { return u.State(u.inputs) }

// This is so in the first preview after the upgrade, and in later ones, when Pulumi has the new inputs beside the old outputs.
func TestUpgradeChangesNothing(t *testing.T) {
	for name, u := range upgrades(t) {
		t.Run(name, func(t *testing.T) {
			checked, err := u.Server.Check(p.CheckRequest{Urn: u.URN, State: u.before.Inputs.Map, Inputs: rig.Properties(u.inputs)})
			require.NoError(t, err)
			require.Empty(t, checked.Failures)
			for _, old := range []property.Map{u.before.Inputs.Map, checked.Inputs, {}} {
				diff, err := u.Server.Diff(p.DiffRequest{ID: "r", Urn: u.URN, State: u.before.Outputs.Map, OldInputs: old, Inputs: checked.Inputs})
				require.NoError(t, err)
				assert.False(t, diff.HasChanges, "%v", diff.DetailedDiff)
				assert.Empty(t, diff.DetailedDiff)
			}
			// Pulumi asks with the old inputs, beside what it does not know, when a machine is deleted before its replacement: is
			// this one replaced as well?
			dependent, err := u.Server.Diff(p.DiffRequest{
				ID: "r", Urn: u.URN, State: u.before.Outputs.Map, OldInputs: u.before.Inputs.Map, Inputs: u.before.Inputs.Map,
			})
			require.NoError(t, err)
			assert.False(t, dependent.HasChanges, "%v", dependent.DetailedDiff)
			if _, machine := u.before.Inputs.Map.GetOk("machineId"); machine {
				dependent, err = u.Server.Diff(p.DiffRequest{
					ID: "r", Urn: u.URN, State: u.before.Outputs.Map, OldInputs: u.before.Inputs.Map,
					Inputs: u.before.Inputs.Map.Set("machineId", property.New(property.Computed)),
				})
				require.NoError(t, err)
				assert.True(t, dependent.HasChanges, "another machine")
			}
			// A real change is still one.
			diff, err := u.Server.Diff(p.DiffRequest{
				ID: "r", Urn: u.URN, State: u.before.Outputs.Map, OldInputs: u.before.Inputs.Map, Inputs: checked.Inputs.Set("timeout", property.New("1s")),
			})
			require.NoError(t, err)
			assert.Equal(t, map[string]p.PropertyDiff{"timeout": {Kind: p.Update, InputDiff: true}}, diff.DetailedDiff)
		})
	}
}

// A refresh writes the shape of today. No secret is left in it that the resource does not need, and all are marked.
func TestRefreshUpgradesTheState(t *testing.T) {
	for name, u := range upgrades(t) {
		t.Run(name, func(t *testing.T) {
			read, err := u.Server.Read(p.ReadRequest{ID: "r", Urn: u.URN, Properties: u.before.Outputs.Map, Inputs: u.before.Inputs.Map})
			require.NoError(t, err)
			assert.Equal(t, "r", read.ID)
			assert.Equal(t, u.asToday(), read.Properties)
			assert.Equal(t, u.Checked(u.inputs), read.Inputs)
			assertSecrets(t, "", read.Properties)
			assertSecrets(t, "", read.Inputs)
		})
	}
}

// An update writes the shape of today, too.
func TestUpdateUpgradesTheState(t *testing.T) {
	// These look at their servers, which are not there: of them a preview has to do.
	looks := map[string]string{"VaultUnseal": "sealed", "GossipUse": "sole"}
	for name, u := range upgrades(t) {
		t.Run(name, func(t *testing.T) {
			want := u.asToday().Set("timeout", property.New("1s"))
			found, preview := looks[name]
			if preview {
				want = want.Set(found, property.New(property.Computed))
			}
			for _, old := range []property.Map{u.before.Inputs.Map, u.Checked(u.inputs)} {
				updated, err := u.Server.Update(p.UpdateRequest{
					ID: "r", Urn: u.URN, State: u.before.Outputs.Map, OldInputs: old, Inputs: u.Checked(rig.With(u.inputs, "timeout", "1s")), DryRun: preview,
				})
				require.NoError(t, err)
				assert.Equal(t, want, updated.Properties)
				assertSecrets(t, "", updated.Properties)
			}
		})
	}
}

// Resources of the version before can be deleted. Here new machines stand in place of the old ones already, so no server is
// asked; TestMachinesTakeTurns deletes a membership whose machine has to leave.
func TestDeleteAfterTheUpgrade(t *testing.T) {
	for name, u := range upgrades(t) {
		t.Run(name, func(t *testing.T) {
			if _, is := u.inputs["machineId"]; is {
				_, err := u.Server.Diff(p.DiffRequest{
					ID: "r", Urn: u.URN, State: u.before.Outputs.Map, OldInputs: u.before.Inputs.Map, Inputs: u.Checked(rig.With(u.inputs, "machineId", "4712")),
				})
				require.NoError(t, err)
			}
			require.NoError(t, u.Server.Delete(p.DeleteRequest{ID: "r", Urn: u.URN, Properties: u.before.Outputs.Map, OldInputs: u.before.Inputs.Map}))
		})
	}
}

// The version before recorded the secrets of all clusters for every machine. Those of the machine's own clusters are left.
func TestAMachineHoldsTheSecretsOfItsClusters(t *testing.T) {
	for name, held := range map[string][]string{
		"Membership of a server":                     {"hvs.root", "a2V5", rig.Secret, rig.OtherSecret},
		"Membership of a server that unseals itself": {"hvs.root", rig.Secret, rig.OtherSecret},
		"Membership of a client":                     {rig.Secret, rig.OtherSecret},
		"Membership of a Nomad server and client":    {rig.Secret, rig.OtherSecret},
		"Membership of a Consul server":              {rig.Secret},
	} {
		t.Run(name, func(t *testing.T) {
			u := upgrades(t)[name]
			read, err := u.Server.Read(p.ReadRequest{ID: "r", Urn: u.URN, Properties: u.before.Outputs.Map, Inputs: u.before.Inputs.Map})
			require.NoError(t, err)
			for _, state := range []property.Map{read.Properties, read.Inputs, u.asToday()} {
				assert.ElementsMatch(t, held, secretsIn(property.New(state)))
			}
		})
	}
}

// secretsIn are the texts that are marked as secrets, or that are part of a secret.
func secretsIn(value property.Value) (found []string) {
	switch {
	case value.IsMap():
		for _, inner := range value.AsMap().All {
			found = append(found, secretsIn(inner.WithSecret(inner.Secret() || value.Secret()))...)
		}
	case value.IsArray():
		for _, inner := range value.AsArray().All {
			found = append(found, secretsIn(inner.WithSecret(inner.Secret() || value.Secret()))...)
		}
	case value.IsString() && value.Secret():
		found = append(found, value.AsString())
	}
	return found
}

// Up to commit 877c5de an update of VaultInit took the empty list of recovery keys out of the state, which nobody could read then.
func TestAStateWithoutRecoveryKeysIsRead(t *testing.T) {
	subject := rig.New(t.Context(), t, "VaultInit", "vault")
	inputs := rig.Good(t)["VaultInit"]
	broken := subject.State(inputs).Delete("recoveryKeys")
	assert.False(t, subject.Diff(broken, inputs, inputs).HasChanges)
	mended, err := subject.Update(broken, inputs, rig.With(inputs, "timeout", "7m"))
	require.NoError(t, err)
	assert.Equal(t, property.New([]property.Value{}).WithSecret(true), mended.Properties.Get("recoveryKeys"))
	assert.Equal(t, "the rootToken", mended.Properties.Get("rootToken").AsString())
}
