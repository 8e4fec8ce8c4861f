package api_test

import (
	"strconv"
	"testing"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// number is the ID of a resource as an input of another one.
func (r *resource) number(t *testing.T) float64 {
	t.Helper()
	id, err := strconv.Atoi(r.id)
	require.NoError(t, err)
	return float64(id)
}

// requireNoDiff expects that neither an `up` with the same program nor one after a refresh changes the resource.
func (p *plugin) requireNoDiff(r *resource, inputs props) {
	p.t.Helper()
	for _, when := range []string{"after creation", "after refresh"} {
		diff := p.diff(r, inputs)
		require.Equal(p.t, pulumirpc.DiffResponse_DIFF_NONE, diff.Changes, "%s %s: changes %v, replaces %v, %v", r.urn, when, diff.Diffs, diff.Replaces, diff.DetailedDiff)
		require.True(p.t, p.refresh(r), "%s is there", r.urn)
	}
}

// TestRealPlugin creates, reads, changes and deletes every kind of resource that the real plugin offers and the local
// cloud implements.
func TestRealPlugin(t *testing.T) {
	c := startCloud(t, withRateLimit(3600))
	p := startPlugin(t, c.url+"/v1", testToken)

	networkInputs := props{"name": "net", "ipRange": "10.0.0.0/16", "labels": props{"stack": "test"}}
	n := p.create("hcloud:index/network:Network", "net", networkInputs)
	subnetInputs := props{"networkId": n.number(t), "type": "cloud", "ipRange": "10.0.1.0/24", "networkZone": "eu-central"}
	subnet := p.create("hcloud:index/networkSubnet:NetworkSubnet", "subnet", subnetInputs)
	routeInputs := props{"networkId": n.number(t), "destination": "192.168.9.0/24", "gateway": "10.0.1.10"}
	route := p.create("hcloud:index/networkRoute:NetworkRoute", "route", routeInputs)
	groupInputs := props{"name": "spread", "type": "spread", "labels": props{"stack": "test"}}
	group := p.create("hcloud:index/placementGroup:PlacementGroup", "spread", groupInputs)
	firewallInputs := props{"name": "fw", "rules": []any{
		props{"direction": "in", "protocol": "tcp", "port": "443", "sourceIps": []any{"0.0.0.0/0", "::/0"}, "description": "API"},
		props{"direction": "in", "protocol": "icmp", "sourceIps": []any{"0.0.0.0/0"}},
	}}
	fw := p.create("hcloud:index/firewall:Firewall", "fw", firewallInputs)
	ipInputs := props{"name": "ip", "type": "ipv4", "assigneeType": "server", "autoDelete": false, "location": "fsn1", "deleteProtection": false}
	ip := p.create("hcloud:index/primaryIp:PrimaryIp", "ip", ipInputs)
	keyInputs := props{"name": "key", "publicKey": testKey}
	key := p.create("hcloud:index/sshKey:SshKey", "key", keyInputs)
	serverInputs := props{
		"name": "server-1", "serverType": "cx23", "image": "debian-12", "location": "fsn1", "userData": "#cloud-config\n",
		"labels": props{"role": "vault"}, "placementGroupId": group.number(t), "firewallIds": []any{fw.number(t)},
		"publicNets": []any{props{"ipv4Enabled": true, "ipv4": ip.number(t), "ipv6Enabled": false}},
		"networks":   []any{props{"networkId": n.number(t), "ip": "10.0.1.10"}},
		"sshKeys":    []any{key.id},
	}
	server := p.create("hcloud:index/server:Server", "server-1", serverInputs)

	t.Run("machine", func(t *testing.T) {
		m, found := c.runtime.machine(int64(server.number(t)))
		require.True(t, found)
		assert.Equal(t, "198.18.0.2", m.Public.String())
		assert.Equal(t, "10.0.1.10", m.Private[0].Address.String())
		assert.Equal(t, "#cloud-config\n", m.UserData)
		assert.True(t, m.Firewalled)
		assert.Equal(t, "198.18.0.2", server.outputs.Fields["ipv4Address"].GetStringValue())
		assert.Equal(t, "running", server.outputs.Fields["status"].GetStringValue())
	})

	all := []struct {
		*resource
		inputs props
	}{
		{n, networkInputs}, {subnet, subnetInputs}, {route, routeInputs}, {group, groupInputs}, {fw, firewallInputs},
		{ip, ipInputs}, {key, keyInputs}, {server, serverInputs},
	}
	t.Run("no diff", func(*testing.T) {
		// Inline networks of servers used to show one at every run: pulumi-hcloud issue 170.
		for _, r := range all {
			p.requireNoDiff(r.resource, r.inputs)
		}
	})

	t.Run("look-up", func(t *testing.T) {
		found, err := p.client.Invoke(p.ctx, &pulumirpc.InvokeRequest{Tok: "hcloud:index/getNetworks:getNetworks", Args: p.pack(nil)})
		require.NoError(t, err)
		require.Empty(t, found.Failures)
		networks := found.Return.Fields["networks"].GetListValue().GetValues()
		require.Len(t, networks, 1)
		network := networks[0].GetStructValue().AsMap()
		assert.Equal(t, "net", network["name"])
		assert.Equal(t, props{"stack": "test"}, network["labels"])
	})

	t.Run("update in place", func(t *testing.T) {
		serverInputs["labels"] = props{"role": "web"}
		serverInputs["firewallIds"] = []any{}
		diff := p.diff(server, serverInputs)
		require.Equal(t, pulumirpc.DiffResponse_DIFF_SOME, diff.Changes)
		require.Empty(t, diff.Replaces)
		p.update(server, serverInputs)
		m, _ := c.runtime.machine(int64(server.number(t)))
		assert.False(t, m.Firewalled)
		p.requireNoDiff(server, serverInputs)

		firewallInputs["rules"] = []any{props{"direction": "in", "protocol": "udp", "port": "53", "sourceIps": []any{"10.0.0.0/8"}}}
		p.update(fw, firewallInputs)
		p.requireNoDiff(fw, firewallInputs)
	})

	// This is why the program replaces machines of another type one after the other (components/pool.go): left to itself, the
	// plugin powers each server off and rescales it, all of them at once.
	t.Run("server type in place", func(t *testing.T) {
		serverInputs["serverType"] = "cx33"
		diff := p.diff(server, serverInputs)
		require.Empty(t, diff.Replaces)
		require.Contains(t, diff.DetailedDiff, "serverType")
		p.update(server, serverInputs)
		m, _ := c.runtime.machine(int64(server.number(t)))
		assert.Equal(t, 8192, m.MemoryMiB)
		assert.Equal(t, hcloud.ServerStatusRunning, c.getServer(int64(server.number(t))).Status)
		p.requireNoDiff(server, serverInputs)
	})

	t.Run("replacement", func(t *testing.T) {
		serverInputs["userData"] = "#cloud-config\n# changed\n"
		diff := p.diff(server, serverInputs)
		assert.Contains(t, diff.Replaces, "userData")
		p.delete(server)
		server = p.create("hcloud:index/server:Server", "server-1", serverInputs)
		p.requireNoDiff(server, serverInputs)
		assert.Equal(t, "198.18.0.2", server.outputs.Fields["ipv4Address"].GetStringValue(), "the address stays")
	})

	t.Run("error", func(t *testing.T) {
		_, err := p.client.Create(p.ctx, &pulumirpc.CreateRequest{
			Urn:        "urn:pulumi:test::localcloud::hcloud:index/server:Server::bad",
			Properties: p.check("urn:pulumi:test::localcloud::hcloud:index/server:Server::bad", nil, props{"name": "server-1", "serverType": "cx23", "image": "debian-12"}),
		})
		assert.ErrorContains(t, err, "server name is already used")
	})

	t.Run("drift", func(t *testing.T) {
		other := p.create("hcloud:index/placementGroup:PlacementGroup", "other", props{"name": "other", "type": "spread"})
		_, err := c.PlacementGroup.Delete(c.ctx, &hcloud.PlacementGroup{ID: int64(other.number(t))})
		require.NoError(t, err)
		assert.False(t, p.refresh(other), "what is gone is seen as gone")
	})

	t.Run("delete", func(t *testing.T) {
		for _, r := range []*resource{server, key, ip, fw, group, route, subnet, n} {
			p.delete(r)
		}
		assert.JSONEq(t, `[[],[],[],[],[],[]]`, c.remaining())
		assert.Empty(t, c.runtime.ids())
		assert.Empty(t, c.runtime.networks)
	})
}

// TestRealPluginPrivateServer makes a server without public network: created off, attached to its network, then
// started.
func TestRealPluginPrivateServer(t *testing.T) {
	c := startCloud(t)
	p := startPlugin(t, c.url+"/v1", testToken)
	n := c.network("net")
	inputs := props{
		"name": "private", "serverType": "cx23", "image": "debian-12", "location": "fsn1",
		"publicNets": []any{props{"ipv4Enabled": false, "ipv6Enabled": false}},
		"networks":   []any{props{"networkId": float64(n.ID), "ip": "10.0.1.20"}},
	}
	s := p.create("hcloud:index/server:Server", "private", inputs)
	assert.Equal(t, hcloud.ServerStatusRunning, c.getServer(int64(s.number(t))).Status)
	p.requireNoDiff(s, inputs)
	p.delete(s)
}
