package components

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/internal/pulumitest"
)

const (
	serverType = "hcloud:index/server:Server"
	lookType   = "hashistack:index:isNomadRunning"
)

// runningPlatform is one whose Nomad runs already.
func runningPlatform(t *testing.T) *platform {
	t.Helper()
	p := emptyPlatform(t)
	p.Outputs[lookType] = resource.PropertyMap{"running": resource.NewProperty(true)}
	return p
}

func TestMachinesWaitForWhatTheyAreGranted(t *testing.T) {
	p := runningPlatform(t)
	p.Run(t, p.declare)
	declared := p.Resources()
	first := slices.IndexFunc(declared, func(r pulumitest.Resource) bool { return r.Type == serverType })
	require.Positive(t, first)
	last := map[string]int{}
	for i, r := range declared {
		product, _, _ := strings.Cut(r.Type, ":")
		last[product] = i
		if r.Type == GateType {
			last["gate"] = i
		}
	}
	for _, product := range []string{"vault", "consul", "nomad", "gate"} {
		assert.Less(t, last[product], first, "all of %s comes before the first machine", product)
	}
	// What the gate waits for is not what machines depend on: a policy that is replaced would replace them.
	for _, machine := range p.All(serverType) {
		for _, needed := range p.dependencies(machine) {
			assert.Regexp(t, "^(hcloud|tls|random):", needed, machine.Name)
		}
	}
}

// Clients are touched when all servers are whole again: upgraded, and healthy members.
func TestMachinesWithoutAVoteComeLast(t *testing.T) {
	p := runningPlatform(t)
	p.Run(t, p.declare)
	place := map[string]int{} // in the order of declaration
	for i, r := range p.Resources() {
		place[r.Type+" "+r.Name] = i
	}
	for _, server := range serverMachines {
		for _, client := range clientMachines {
			for _, typeToken := range []string{serverType, membershipType} {
				assert.Less(t, place[typeToken+" "+server.name], place[serverType+" "+client.name], "%s %s comes before %s", typeToken, server.name, client.name)
			}
		}
	}
	// In the state, clients do not depend on servers: a server that is replaced would replace them.
	for _, client := range clientMachines {
		for _, needed := range p.dependencies(p.One(t, serverType, client.name)) {
			assert.NotContains(t, needed, serverType, client.name)
		}
	}
}

func TestClientsStayWhileAServerIsMissing(t *testing.T) {
	p := runningPlatform(t)
	p.Failures = map[string]error{membershipType + "::server-2": errors.New("server-2 is not back")}
	require.ErrorContains(t, p.RunErr(t, p.declare), "server-2 is not back")
	var declared []string
	for _, r := range p.All(serverType) {
		declared = append(declared, r.Name)
	}
	assert.ElementsMatch(t, []string{"server-1", "server-2", "server-3"}, declared)
}

// What the gate waits for, and all that this waits for, must not wait for a machine.
func TestNothingThatIsGrantedWaitsForAMachine(t *testing.T) {
	p := newPlatform(t)
	all := p.byURN()
	seen := map[string]bool{}
	var walk func(urn string)
	walk = func(urn string) {
		if seen[urn] {
			return
		}
		seen[urn] = true
		assert.NotEqual(t, serverType, all[urn].Type, all[urn].Name)
		for _, next := range all[urn].Options.RegisterRPC.GetDependencies() {
			walk(next)
		}
		// A resource waits for its provider too, which is named by URN and ID.
		if provider := all[urn].Options.Provider; provider != "" {
			walk(provider[:strings.LastIndex(provider, "::")])
		}
	}
	walk(p.One(t, GateType, "machines").URN)
	assert.Greater(t, len(seen), 50)
}

// A new platform's machines come first: all else is in them.
func TestMachinesOfANewPlatformDoNotWait(t *testing.T) {
	p := emptyPlatform(t)
	p.Run(t, p.declareMachines) // and nothing that would open the gate
	assert.Len(t, p.All(serverType), len(allMachines))
}

func TestMachinesStayWhenTheyCannotBeGrantedWhatTheyNeed(t *testing.T) {
	p := runningPlatform(t)
	p.Failures = map[string]error{"vault:index/policy:Policy::machine-client-2": errors.New("Vault is sealed")}
	require.ErrorContains(t, p.RunErr(t, p.declare), "Vault is sealed")
	assert.Empty(t, p.All(serverType))

	p = emptyPlatform(t)
	p.Refusals = map[string][]error{lookType: {errors.New("no such provider")}}
	require.ErrorContains(t, p.RunErr(t, p.declareMachines), "machines stay as they are")
	assert.Empty(t, p.All(serverType))
}

// A program that fails on the way does not wait for a gate that it will never open.
func TestMachinesStayWhenTheProgramFails(t *testing.T) {
	p := runningPlatform(t)
	require.ErrorContains(t, p.RunErr(t, func(ctx *pulumi.Context) error {
		if err := p.declareMachines(ctx); err != nil {
			return err
		}
		err := errors.New("no such policy")
		p.gate.Abandon(err)
		return err
	}), "no such policy")
	assert.Empty(t, p.All(serverType))
}

func TestPreviewAsksNobody(t *testing.T) {
	p := emptyPlatform(t)
	p.Refusals = map[string][]error{lookType: {errors.New("a preview needs the state alone")}}
	p.Preview(t, p.declare)
	assert.Len(t, p.All(serverType), len(allMachines))
}
