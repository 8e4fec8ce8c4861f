package membership_test

import (
	"testing"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/provider/internal/rig"
)

func TestCheck(t *testing.T) {
	good := rig.Good(t)["Membership"]
	others := rig.Nodes("https://10.0.1.9:4646", "https://10.0.1.10:4646")[1:]
	for name, test := range map[string]struct {
		changes map[string]any
		want    map[string]string
	}{
		"no machine": {map[string]any{"machine": ""}, map[string]string{
			"machine":     "must not be empty",
			"vault.nodes": `must hold the machine, "": all members of Vault are servers. Leave vault out if it is not one`,
			"nomad.nodes": `must hold the machine, "", which is no Nomad client. Leave nomad out if it is no server either`,
		}},
		"no lane":        {map[string]any{"lane": ""}, map[string]string{"lane": "must not be empty"}},
		"nobody at once": {map[string]any{"atOnce": -1}, map[string]string{"atOnce": "must be at least 1, got -1"}},
		"no server of Vault": {map[string]any{"vault.nodes": others}, map[string]string{
			"vault.nodes": `must hold the machine, "server-1": all members of Vault are servers. Leave vault out if it is not one`,
		}},
		"neither server nor client of Nomad": {map[string]any{"nomad.nodes": others}, map[string]string{
			"nomad.nodes": `must hold the machine, "server-1", which is no Nomad client. Leave nomad out if it is no server either`,
		}},
		"no servers": {map[string]any{"nomad.nodes": []any{}, "nomadClient": true}, map[string]string{"nomad.nodes": "must name at least one node"}},
		"a client of no Nomad": {map[string]any{"nomad": nil, "nomadClient": true}, map[string]string{
			"nomadClient": `needs nomad: the cluster of the client on "server-1"`,
		}},
		"keys of no Vault": {map[string]any{"vault": nil}, map[string]string{
			"unsealKeys": `must be left out without vault: "server-1" has nothing to unseal`,
		}},
		"no token": {map[string]any{"vault.token": nil, "consul.token": "", "nomad.token": nil}, map[string]string{
			"vault.token": "must not be empty", "consul.token": "must not be empty", "nomad.token": "must not be empty",
		}},
		"a Nomad client":            {map[string]any{"nomad.nodes": others, "nomadClient": true}, map[string]string{}},
		"a Consul client":           {map[string]any{"consul.nodes": others}, map[string]string{}},
		"nothing but Consul":        {map[string]any{"vault": nil, "unsealKeys": nil, "nomad": nil}, map[string]string{}},
		"a Vault that needs no key": {map[string]any{"unsealKeys": []any{}}, map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			inputs := good
			for path, value := range test.changes {
				inputs = rig.With(inputs, path, value)
			}
			assert.Equal(t, test.want, rig.New(t.Context(), t, "Membership", "r").Refused(property.Map{}, inputs))
		})
	}
}

// The preview of a change that would replace the only server of a cluster is refused. Before it deletes a machine, Pulumi asks for the
// difference to one whose identity is not known yet.
func TestTheOnlyServerIsNotReplaced(t *testing.T) {
	three := rig.Good(t)["Membership"]
	one := rig.Nodes("https://10.0.1.10:4646")
	for name, test := range map[string]struct {
		inputs map[string]any
		want   string // of what it is the only server
	}{
		"of three":        {three, ""},
		"alone":           {rig.With(rig.With(rig.With(three, "vault.nodes", one), "consul.nodes", one), "nomad.nodes", one), "Vault, Consul, Nomad"},
		"alone in Consul": {rig.With(three, "consul.nodes", one), "Consul"},
		"a client of a single server": {
			rig.With(rig.With(rig.With(rig.With(rig.With(rig.With(three, "machine", "client-1"), "nomadClient", true),
				"vault", nil), "unsealKeys", nil), "consul.nodes", one), "nomad.nodes", one), "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			subject := rig.New(t.Context(), t, "Membership", "server-1")
			inputs := subject.Checked(test.inputs)
			ask := func(machineID property.Value) (p.DiffResponse, error) {
				return subject.Server.Diff(p.DiffRequest{
					ID: "server-1", Urn: subject.URN, State: subject.State(test.inputs), OldInputs: inputs, Inputs: inputs.Set("machineId", machineID),
				})
			}
			diff, err := ask(property.New(property.Computed))
			if test.want == "" {
				require.NoError(t, err)
				assert.True(t, diff.DeleteBeforeReplace)
			} else {
				require.ErrorContains(t, err, "server-1 is the only server of "+test.want+": ")
				require.ErrorContains(t, err, `bring up a second stack with three servers`)
			}
			_, err = ask(property.New("4711"))
			require.NoError(t, err, "nothing changes")
			_, err = ask(property.New("4712"))
			require.NoError(t, err, "another one stands there already")
		})
	}
}

// What is not given is not in the state either, not even as an empty secret.
func TestAClientHoldsNothingOfVault(t *testing.T) {
	inputs := rig.Good(t)["Membership"]
	for _, name := range []string{"vault", "unsealKeys"} {
		inputs = rig.With(inputs, name, nil)
	}
	subject := rig.New(t.Context(), t, "Membership", "client-1")
	checked := subject.Checked(rig.With(rig.With(inputs, "machine", "client-1"), "nomadClient", true))
	for _, name := range []string{"vault", "unsealKeys"} {
		_, present := checked.GetOk(name)
		assert.False(t, present, name)
	}
}
