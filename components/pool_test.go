package components

import (
	"slices"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/internal/machine"
	"hashistack/internal/machine/parts"
)

func TestMachinePool(t *testing.T) {
	p := newPlatform(t)
	network := p.One(t, "hcloud:index/network:Network", "test")
	assert.Len(t, p.All("hcloud:index/server:Server"), len(allMachines))
	for pool, machines := range map[string][]testMachine{"server": serverMachines, "client": clientMachines} {
		group := p.One(t, "hcloud:index/placementGroup:PlacementGroup", pool)
		assertInputs(t, group, want{"name": pool, "type": "spread", "labels.stack": "test"})
		firewall := p.One(t, "hcloud:index/firewall:Firewall", pool)
		for _, m := range machines {
			address := p.One(t, "hcloud:index/primaryIp:PrimaryIp", m.name)
			assertInputs(t, address, want{
				"name": m.name, "type": "ipv4", "location": "fsn1", "labels.stack": "test",
				"autoDelete": false, // it outlives its machine
			})
			server := p.One(t, "hcloud:index/server:Server", m.name)
			assertInputs(t, server, want{
				"name": m.name, "serverType": "cpx31", "image": "debian-12", "location": "fsn1", "labels.stack": "test",
				"placementGroupId": number(t, group),
				"firewallIds":      list(number(t, firewall)),
				"publicNets":       list(map[string]any{"ipv4": number(t, address), "ipv4Enabled": true, "ipv6Enabled": false}),
				"networks":         list(map[string]any{"networkId": number(t, network), "ip": m.private, "aliasIps": []any{}}),
				"sshKeys":          nil, // nobody logs in
			})
			assert.Contains(t, p.dependencies(server), "hcloud:index/networkSubnet:NetworkSubnet "+pool)
		}
	}
}

// What a machine boots with is its own: name, addresses, login, and certificate where it has Vault.
func TestUserData(t *testing.T) { assertUserData(t, newPlatform(t), rootPEM) }

func assertUserData(t *testing.T, p *platform, root string) {
	t.Helper()
	cluster := testCluster()
	cluster.CA = root
	for _, m := range allMachines {
		expected := described(t, m)
		expected.RoleID, expected.SecretID = m.name, m.secretID
		if slices.Contains(serverMachines, m) {
			expected.BootstrapCertificate, expected.BootstrapKey = bootstrapCertificate(m.name), bootstrapKey(m.name)
		}
		userData, err := parts.Of(expected.Roles).UserData(cluster, expected)
		require.NoError(t, err)
		assertSecret(t, p.One(t, "hcloud:index/server:Server", m.name), "userData", userData)
	}
}

func TestUserDataProblemsNameTheMachine(t *testing.T) {
	for name, c := range map[string]struct {
		cluster func(*machine.Cluster)
		address string
		problem string
	}{
		"an address that is none": {func(*machine.Cluster) {}, "nowhere", `public address of client-1: ParseAddr("nowhere")`},
		"a cluster without Vault": {func(c *machine.Cluster) { c.Servers[machine.RoleVault] = nil }, "203.0.113.4", `user-data of machine "client-1"`},
	} {
		t.Run(name, func(t *testing.T) {
			p := emptyPlatform(t)
			p.Outputs["hcloud:index/primaryIp:PrimaryIp::client-1"] = resource.PropertyMap{"ipAddress": text(c.address)}
			err := p.RunErr(t, func(ctx *pulumi.Context) (err error) {
				if err = p.declareGround(ctx); err != nil {
					return err
				}
				args := p.pool("client", clientMachines[:1], clientRoles)
				c.cluster(&args.Cluster)
				pool, err := NewMachinePool(ctx, args)
				if err != nil {
					return err
				}
				p.pools = []*MachinePool{pool}
				return p.boot(ctx)
			})
			require.ErrorContains(t, err, c.problem)
		})
	}
}
