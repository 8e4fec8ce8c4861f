package components

import (
	"fmt"
	"net/netip"
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
			assert.Equal(t, []string{"serverType", "placementGroupId"}, server.Options.RegisterRPC.GetReplaceOnChanges(), "not all at once, in place")
			assert.True(t, server.Options.RegisterRPC.GetDeleteBeforeReplace(), "its membership leaves before it")
		}
	}
}

// Hetzner spreads ten servers of a group. A machine stays in the group that it is in, whatever becomes of the others.
func TestPlacementGroups(t *testing.T) {
	for machines, groups := range map[int][]string{
		1: {"client"}, 10: {"client"}, 11: {"client", "client-2"}, 20: {"client", "client-2"}, 21: {"client", "client-2", "client-3"},
	} {
		t.Run(fmt.Sprintf("%d machines", machines), func(t *testing.T) {
			p := emptyPlatform(t)
			p.Outputs["hcloud:index/primaryIp:PrimaryIp"] = resource.PropertyMap{"ipAddress": text("203.0.113.4")}
			p.Run(t, func(ctx *pulumi.Context) error {
				if err := p.declareGround(ctx); err != nil {
					return err
				}
				args := p.pool("client", nil, clientRoles)
				for i := range machines {
					args.Machines = append(args.Machines, machine.Peer{
						Name: fmt.Sprintf("client-%d", i+1), Address: netip.AddrFrom4([4]byte{10, 0, 2, byte(10 + i)}),
					})
				}
				pool, err := NewMachinePool(ctx, args)
				if err != nil {
					return err
				}
				p.pools = []*MachinePool{pool}
				return p.boot(ctx)
			})
			assert.Len(t, p.All("hcloud:index/placementGroup:PlacementGroup"), len(groups))
			for i, name := range groups {
				group := p.One(t, "hcloud:index/placementGroup:PlacementGroup", name)
				id := number(t, group)
				assertInputs(t, group, want{"name": name, "type": "spread", "labels.stack": "test"})
				for nth := 10*i + 1; nth <= min(10*i+10, machines); nth++ {
					assertInputs(t, p.One(t, serverType, fmt.Sprintf("client-%d", nth)), want{"placementGroupId": id})
				}
			}
		})
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
		userData, _, err := parts.Of(expected.Roles).UserData(cluster, expected)
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
