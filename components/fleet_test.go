package components

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"hashistack/internal/machine"
)

const membershipType = "hashistack:index:Membership"

func TestFleet(t *testing.T) {
	p := newPlatform(t)
	assert.Len(t, p.All(membershipType), len(allMachines))
	for pool, c := range map[string]struct {
		machines []testMachine
		lane     string
		roles    []any
	}{
		"server": {serverMachines, quorumLane, list("vault", "consul-server", "nomad-server")},
		"client": {clientMachines, "client", list("nomad-client")},
	} {
		for _, m := range c.machines {
			membership := p.One(t, membershipType, m.name)
			assertInputs(t, membership, want{
				"machine":   m.name,
				"machineId": p.One(t, "hcloud:index/server:Server", m.name).ID, // another one leaves before it comes
				"roles":     c.roles, "lane": c.lane, "atOnce": 1, "timeout": "5m0s", "region": "global", "caPem": rootPEM,
				"vaultNodes": apis(8200), "consulNodes": apis(8501), "nomadNodes": apis(4646),
			})
			assertSecret(t, membership, "vaultToken", vaultToken)
			assertSecret(t, membership, "unsealKeys", list(unsealKey))
			assertSecret(t, membership, "consulToken", consulToken)
			assertSecret(t, membership, "nomadToken", nomadToken)
			assert.NotEmpty(t, membership.Options.RegisterRPC.GetDeletedWith(), "%s: a teardown asks nobody to leave", pool)
		}
	}
}

// While machines are replaced by ones that carry the next root, those that are there verify what it signed.
func TestMembershipsKnowEveryRoot(t *testing.T) {
	for name, machineRoot := range map[string]int{"before": 1, "while machines are replaced": 2} {
		t.Run(name, func(t *testing.T) {
			p := raisedPlatform(t, func(g *generations) { g.root, g.machineRoot = 2, machineRoot })
			for _, membership := range p.All(membershipType) {
				assertInputs(t, membership, want{"caPem": rootPEM + nextRootPEM})
			}
		})
	}
}

func TestLanes(t *testing.T) {
	for name, c := range map[string]struct {
		roles  []machine.Role
		count  int
		lane   string
		atOnce int
	}{
		"servers":         {serverRoles, 5, quorumLane, 1},
		"Vault alone":     {[]machine.Role{machine.RoleVault}, 3, quorumLane, 1},
		"one for all":     {[]machine.Role{machine.RoleNomadServer, machine.RoleNomadClient}, 1, quorumLane, 1},
		"two clients":     {clientRoles, 2, "pool", 1},
		"nine clients":    {clientRoles, 9, "pool", 1},
		"ten clients":     {clientRoles, 10, "pool", 2},
		"hundred clients": {clientRoles, 100, "pool", 20},
	} {
		t.Run(name, func(t *testing.T) {
			lane, atOnce := (&MachinePool{Name: "pool", Roles: c.roles, Machines: make([]PoolMachine, c.count)}).lane()
			assert.Equal(t, c.lane, lane)
			assert.Equal(t, c.atOnce, atOnce)
		})
	}
}
