package components

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/internal/machine"
	"hashistack/sdks/hashistack"
)

const membershipType = "hashistack:index:Membership"

func TestFleet(t *testing.T) {
	p := newPlatform(t)
	assert.Len(t, p.All(membershipType), len(allMachines))
	for pool, c := range map[string]struct {
		machines      []testMachine
		lane          string
		vault, client bool
	}{
		"server": {machines: serverMachines, lane: quorumLane, vault: true},
		"client": {machines: clientMachines, lane: "client", client: true},
	} {
		for _, m := range c.machines {
			membership := p.One(t, membershipType, m.name)
			assertInputs(t, membership, want{
				"machine":   m.name,
				"machineId": p.One(t, "hcloud:index/server:Server", m.name).ID, // another one leaves before it comes
				"lane":      c.lane, "atOnce": 1, "timeout": "5m0s", "region": "global", "nomadClient": c.client,
			})
			assertCluster(t, membership, "consul", 8501, consulToken)
			assertCluster(t, membership, "nomad", 4646, nomadToken)
			if c.vault {
				assertCluster(t, membership, "vault", 8200, vaultToken)
				assertSecret(t, membership, "unsealKeys", list(unsealKey))
			} else { // nothing of Vault's is in the state of a machine without it
				assertInputs(t, membership, want{"vault": nil, "unsealKeys": nil})
			}
			madeOf, plain := membership.Input("madeOf").(map[string]any)
			require.True(t, plain, "a reviewer reads why %s is replaced, got %v", m.name, membership.Input("madeOf"))
			assert.Contains(t, madeOf, "/etc/hashistack/ca.pem")
			assert.Contains(t, madeOf["packages"], "consul=")
			assert.NotEmpty(t, membership.Options.RegisterRPC.GetDeletedWith(), "%s: a teardown asks nobody to leave", pool)
		}
	}
}

func TestClientsAreIntroducedToNomad(t *testing.T) {
	p := newPlatform(t)
	const introductionType = "hashistack:index:NomadIntroduction"
	assert.Len(t, p.All(introductionType), len(clientMachines), "clients alone")
	for _, m := range clientMachines {
		introduction := p.One(t, introductionType, m.name)
		assertInputs(t, introduction, want{
			"machine": m.name, "machineId": p.One(t, "hcloud:index/server:Server", m.name).ID, "nodePool": "batch",
			"mount": "platform", "secret": "introductions/" + m.name, "timeout": "5m0s",
		})
		assertCluster(t, introduction, "nomad", 4646, nomadToken)
		assertCluster(t, introduction, "vault", 8200, vaultToken)
		assert.Contains(t, p.dependencies(p.One(t, membershipType, m.name)), introductionType+" "+m.name,
			"what waits for the machine does not hold up what the machine waits for")
	}
}

// A machine is given the clusters that it is a member of, and no others.
func TestClustersOfAMachine(t *testing.T) {
	for name, c := range map[string]struct {
		roles                      []machine.Role
		vault, nomad, nomadClients bool
	}{
		"all servers":        {roles: serverRoles, vault: true, nomad: true},
		"a client":           {roles: clientRoles, nomad: true, nomadClients: true},
		"server and client":  {roles: []machine.Role{machine.RoleNomadServer, machine.RoleNomadClient}, nomad: true, nomadClients: true},
		"Vault alone":        {roles: []machine.Role{machine.RoleVault}, vault: true},
		"Consul alone":       {roles: []machine.Role{machine.RoleConsulServer}},
		"Consul's agent":     {},
		"Consul and a Nomad": {roles: []machine.Role{machine.RoleConsulServer, machine.RoleNomadServer}, nomad: true},
	} {
		t.Run(name, func(t *testing.T) {
			token := pulumi.String("token").ToStringOutput()
			fleet := &FleetArgs{
				Vault: &Vault{RootToken: token, unsealKeys: pulumi.StringArray{}.ToStringArrayOutput()}, Consul: &Consul{Token: token}, Nomad: &Nomad{Token: token}, Trust: &Trust{},
			}
			membership := &hashistack.MembershipArgs{}
			fleet.join(membership, &MachinePool{Roles: c.roles})
			assert.NotNil(t, membership.Consul)
			assert.Equal(t, c.vault, membership.Vault != nil)
			assert.Equal(t, c.vault, membership.UnsealKeys != nil)
			assert.Equal(t, c.nomad, membership.Nomad != nil)
			assert.Equal(t, pulumi.Bool(c.nomadClients), membership.NomadClient)
		})
	}
}

// While machines are replaced by ones that carry the next root, those that are there verify what it signed.
func TestMembershipsKnowEveryRoot(t *testing.T) {
	for name, machineRoot := range map[string]int{"before": 1, "while machines are replaced": 2} {
		t.Run(name, func(t *testing.T) {
			p := raisedPlatform(t, func(g *generations) { g.root, g.machineRoot = 2, machineRoot })
			for _, membership := range p.All(membershipType) {
				for _, cluster := range []string{"vault", "consul", "nomad"} {
					if membership.Input(cluster) != nil {
						assertInputs(t, membership, want{cluster + ".caPem": rootPEM + nextRootPEM})
					}
				}
				assert.NotNil(t, membership.Input("consul"))
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
