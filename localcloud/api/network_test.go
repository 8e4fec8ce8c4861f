package api_test

import (
	"errors"
	"net"
	"testing"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func cloudSubnet(t *testing.T, ipRange string) hcloud.NetworkSubnet {
	s := hcloud.NetworkSubnet{Type: hcloud.NetworkSubnetTypeCloud, NetworkZone: hcloud.NetworkZoneEUCentral}
	if ipRange != "" {
		s.IPRange = prefix(t, ipRange)
	}
	return s
}

func TestNetworkLifecycle(t *testing.T) {
	c := startCloud(t)
	n, _, err := c.Network.Create(c.ctx, hcloud.NetworkCreateOpts{Name: "net", IPRange: prefix(t, "10.0.0.0/16"), Labels: map[string]string{"a": "b"}})
	require.NoError(t, err)
	assert.Equal(t, "10.0.0.0/16", n.IPRange.String())
	assert.Equal(t, "10.0.0.0/16", c.runtime.networks[n.ID].String())

	act, _, err := c.Network.AddSubnet(c.ctx, n, hcloud.NetworkAddSubnetOpts{Subnet: cloudSubnet(t, "10.0.1.0/24")})
	require.NoError(t, err)
	c.wait(act)
	act, _, err = c.Network.AddSubnet(c.ctx, n, hcloud.NetworkAddSubnetOpts{Subnet: cloudSubnet(t, "")})
	require.NoError(t, err)
	c.wait(act)
	act, _, err = c.Network.AddRoute(c.ctx, n, hcloud.NetworkAddRouteOpts{Route: hcloud.NetworkRoute{Destination: prefix(t, "192.168.7.0/24"), Gateway: net.ParseIP("10.0.1.9")}})
	require.NoError(t, err)
	c.wait(act)

	n, _, err = c.Network.GetByID(c.ctx, n.ID)
	require.NoError(t, err)
	require.Len(t, n.Subnets, 2)
	assert.Equal(t, "10.0.1.0/24", n.Subnets[0].IPRange.String())
	assert.Equal(t, "10.0.0.1", n.Subnets[0].Gateway.String(), "the gateway is the network's first address")
	assert.Equal(t, "10.0.0.0/24", n.Subnets[1].IPRange.String(), "the first free /24")
	require.Len(t, n.Routes, 1)
	assert.Equal(t, "192.168.7.0/24", n.Routes[0].Destination.String())

	act, _, err = c.Network.DeleteRoute(c.ctx, n, hcloud.NetworkDeleteRouteOpts{Route: n.Routes[0]})
	require.NoError(t, err)
	c.wait(act)
	act, _, err = c.Network.DeleteSubnet(c.ctx, n, hcloud.NetworkDeleteSubnetOpts{Subnet: n.Subnets[1]})
	require.NoError(t, err)
	c.wait(act)
	act, _, err = c.Network.ChangeIPRange(c.ctx, n, hcloud.NetworkChangeIPRangeOpts{IPRange: prefix(t, "10.0.0.0/15")})
	require.NoError(t, err)
	c.wait(act)
	assert.Equal(t, "10.0.0.0/15", c.runtime.networks[n.ID].String())
	n, _, err = c.Network.Update(c.ctx, n, hcloud.NetworkUpdateOpts{Name: "renamed", ExposeRoutesToVSwitch: hcloud.Ptr(true)})
	require.NoError(t, err)
	assert.Equal(t, "renamed", n.Name)
	assert.True(t, n.ExposeRoutesToVSwitch)
	assert.Len(t, n.Subnets, 1)
	assert.Empty(t, n.Routes)

	_, err = c.Network.Delete(c.ctx, n)
	require.NoError(t, err)
	assert.Empty(t, c.runtime.networks)
}

func TestNetworkCreateRefuses(t *testing.T) {
	c := startCloud(t)
	c.network("taken")
	tests := map[string]struct {
		change func(*hcloud.NetworkCreateOpts)
		code   hcloud.ErrorCode
		words  string
	}{
		"name taken":       {func(o *hcloud.NetworkCreateOpts) { o.Name = "taken" }, hcloud.ErrorCodeUniquenessError, "taken"},
		"public range":     {func(o *hcloud.NetworkCreateOpts) { o.IPRange = prefix(t, "8.8.0.0/16") }, hcloud.ErrorCodeInvalidInput, "RFC 1918"},
		"too small":        {func(o *hcloud.NetworkCreateOpts) { o.IPRange = prefix(t, "10.9.0.0/25") }, hcloud.ErrorCodeInvalidInput, "/24"},
		"subnet outside":   {func(o *hcloud.NetworkCreateOpts) { o.Subnets = []hcloud.NetworkSubnet{cloudSubnet(t, "10.8.0.0/24")} }, hcloud.ErrorCodeInvalidInput, "within 10.9.0.0/16"},
		"subnet too small": {func(o *hcloud.NetworkCreateOpts) { o.Subnets = []hcloud.NetworkSubnet{cloudSubnet(t, "10.9.0.0/31")} }, hcloud.ErrorCodeInvalidInput, "/30"},
		"subnets overlap": {func(o *hcloud.NetworkCreateOpts) {
			o.Subnets = []hcloud.NetworkSubnet{cloudSubnet(t, "10.9.0.0/20"), cloudSubnet(t, "10.9.1.0/24")}
		}, hcloud.ErrorCodeInvalidInput, "overlaps with subnet"},
		"zone": {func(o *hcloud.NetworkCreateOpts) {
			s := cloudSubnet(t, "10.9.0.0/24")
			s.NetworkZone = "moon"
			o.Subnets = []hcloud.NetworkSubnet{s}
		}, hcloud.ErrorCodeInvalidInput, "moon"},
		"subnet type": {func(o *hcloud.NetworkCreateOpts) {
			s := cloudSubnet(t, "10.9.0.0/24")
			s.Type = "space"
			o.Subnets = []hcloud.NetworkSubnet{s}
		}, hcloud.ErrorCodeInvalidInput, "space"},
		"vswitch": {func(o *hcloud.NetworkCreateOpts) {
			s := cloudSubnet(t, "10.9.0.0/24")
			s.Type = hcloud.NetworkSubnetTypeVSwitch
			o.Subnets = []hcloud.NetworkSubnet{s}
		}, "not_implemented", "vswitch"},
		"route to the gateway": {func(o *hcloud.NetworkCreateOpts) {
			o.Routes = []hcloud.NetworkRoute{{Destination: prefix(t, "0.0.0.0/0"), Gateway: net.ParseIP("10.9.0.1")}}
		}, hcloud.ErrorCodeInvalidInput, "10.9.0.1"},
		"route to the public": {func(o *hcloud.NetworkCreateOpts) {
			o.Routes = []hcloud.NetworkRoute{{Destination: prefix(t, "1.1.1.0/24"), Gateway: net.ParseIP("10.9.0.5")}}
		}, hcloud.ErrorCodeInvalidInput, "RFC 1918"},
		"route over a subnet": {func(o *hcloud.NetworkCreateOpts) {
			o.Subnets = []hcloud.NetworkSubnet{cloudSubnet(t, "10.9.0.0/24")}
			o.Routes = []hcloud.NetworkRoute{{Destination: prefix(t, "10.9.0.0/16"), Gateway: net.ParseIP("10.9.0.5")}}
		}, hcloud.ErrorCodeInvalidInput, "overlaps"},
		"runtime cannot": {func(o *hcloud.NetworkCreateOpts) { o.IPRange = prefix(t, "10.0.0.0/16") }, hcloud.ErrorCodeServiceError, "overlaps"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			opts := hcloud.NetworkCreateOpts{Name: "new", IPRange: prefix(t, "10.9.0.0/16")}
			tt.change(&opts)
			_, _, err := c.Network.Create(c.ctx, opts)
			requireCode(t, err, tt.code, tt.words)
		})
	}
	all, err := c.Network.All(c.ctx)
	require.NoError(t, err)
	assert.Len(t, all, 1, "nothing of a refused network stays")
	a := c.raw("POST", "/v1/networks", testToken, `{"name":"n","ip_range":"10.9.0.1/16"}`)
	assert.Contains(t, a.Error.Message, "did you mean", "the client masks host bits, others may not")
}

func TestNetworkProtectionAndLimits(t *testing.T) {
	limits := bigLimits
	limits.Networks = 1
	c := startCloud(t, withLimits(limits))
	n := c.network("net")
	_, _, err := c.Network.Create(c.ctx, hcloud.NetworkCreateOpts{Name: "more", IPRange: prefix(t, "10.9.0.0/16")})
	requireCode(t, err, hcloud.ErrorCodeResourceLimitExceeded, "network_limit")

	act, _, err := c.Network.ChangeProtection(c.ctx, n, hcloud.NetworkChangeProtectionOpts{Delete: hcloud.Ptr(true)})
	require.NoError(t, err)
	c.wait(act)
	_, err = c.Network.Delete(c.ctx, n)
	requireCode(t, err, hcloud.ErrorCodeProtected)
	_, _, err = c.Network.ChangeIPRange(c.ctx, n, hcloud.NetworkChangeIPRangeOpts{IPRange: prefix(t, "10.0.0.0/17")})
	requireCode(t, err, hcloud.ErrorCodeInvalidInput, "extended")
}

func TestNetworkInUse(t *testing.T) {
	c := startCloud(t)
	n := c.network("net")
	s := c.server("s", func(o *hcloud.ServerCreateOpts) { o.Networks = []*hcloud.Network{n} })
	n, _, err := c.Network.GetByID(c.ctx, n.ID)
	require.NoError(t, err)
	require.Len(t, n.Servers, 1)
	assert.Equal(t, s.ID, n.Servers[0].ID)

	_, _, err = c.Network.DeleteSubnet(c.ctx, n, hcloud.NetworkDeleteSubnetOpts{Subnet: n.Subnets[0]})
	requireCode(t, err, hcloud.ErrorCodeServiceError, "servers are attached")
	_, _, err = c.Network.ChangeIPRange(c.ctx, n, hcloud.NetworkChangeIPRangeOpts{IPRange: prefix(t, "10.0.0.0/15")})
	requireCode(t, err, "not_implemented")

	_, err = c.Network.Delete(c.ctx, n)
	require.NoError(t, err, "Hetzner detaches the servers of a network that is deleted")
	assert.Empty(t, c.getServer(s.ID).PrivateNet)
	m, _ := c.runtime.machine(s.ID)
	assert.Empty(t, m.Private)
}

func TestNetworkDeletionThatFails(t *testing.T) {
	c := startCloud(t)
	n := c.network("net")
	c.runtime.fail("DeleteNetwork", errors.New("engine is gone"))
	_, err := c.Network.Delete(c.ctx, n)
	requireCode(t, err, hcloud.ErrorCodeServiceError, "engine is gone")
	c.runtime.fail("DeleteNetwork", nil)
	_, err = c.Network.Delete(c.ctx, n)
	require.NoError(t, err)
}

// A server that has left the network when the deletion fails is no longer shown in it, nor after a restart.
func TestNetworkDeletionThatFailsHalfWay(t *testing.T) {
	c := startCloud(t)
	n := c.network("net")
	s := c.server("s", func(o *hcloud.ServerCreateOpts) { o.Networks = []*hcloud.Network{n} })
	c.runtime.fail("DeleteNetwork", errors.New("engine is gone"))
	_, err := c.Network.Delete(c.ctx, n)
	requireCode(t, err, hcloud.ErrorCodeServiceError, "engine is gone")
	assert.Empty(t, c.getServer(s.ID).PrivateNet)
	c.runtime.fail("DeleteNetwork", nil)
	c = c.restart()
	assert.Empty(t, c.getServer(s.ID).PrivateNet)
	act, _, err := c.Server.AttachToNetwork(c.ctx, s, hcloud.ServerAttachToNetworkOpts{Network: n})
	require.NoError(t, err, "it can come back")
	c.wait(act)
	_, err = c.Network.Delete(c.ctx, n)
	require.NoError(t, err)
}

// A network that could not be extended is what it was, in the state and on the host.
func TestNetworkExtensionThatFails(t *testing.T) {
	c := startCloud(t)
	n := c.network("net")
	_, _, err := c.Network.Create(c.ctx, hcloud.NetworkCreateOpts{Name: "neighbour", IPRange: prefix(t, "10.1.0.0/16")})
	require.NoError(t, err)
	act, _, err := c.Network.ChangeIPRange(c.ctx, n, hcloud.NetworkChangeIPRangeOpts{IPRange: prefix(t, "10.0.0.0/15")})
	require.NoError(t, err)
	require.ErrorContains(t, c.Action.WaitFor(c.ctx, act), "overlaps")
	n, _, err = c.Network.GetByID(c.ctx, n.ID)
	require.NoError(t, err)
	assert.Equal(t, "10.0.0.0/16", n.IPRange.String())
	assert.Equal(t, "10.0.0.0/16", c.runtime.networks[n.ID].String())
	c.server("s", func(o *hcloud.ServerCreateOpts) { o.Networks = []*hcloud.Network{n} })
}

// No server joins a network that an action is about to make anew.
func TestNetworkIsNotJoinedWhileItChanges(t *testing.T) {
	c := startCloud(t)
	n := c.network("net")
	s := c.server("s")
	release := c.hold("change_ip_range")
	act, _, err := c.Network.ChangeIPRange(c.ctx, n, hcloud.NetworkChangeIPRangeOpts{IPRange: prefix(t, "10.0.0.0/15")})
	require.NoError(t, err)
	c.held()
	_, _, err = c.Server.AttachToNetwork(c.ctx, s, hcloud.ServerAttachToNetworkOpts{Network: n})
	requireCode(t, err, hcloud.ErrorCodeConflict, "retry")
	opts := serverOpts("inline")
	opts.Networks = []*hcloud.Network{n}
	_, _, err = c.Server.Create(c.ctx, opts)
	requireCode(t, err, hcloud.ErrorCodeConflict, "retry")
	release()
	c.wait(act)
	act, _, err = c.Server.AttachToNetwork(c.ctx, s, hcloud.ServerAttachToNetworkOpts{Network: n})
	require.NoError(t, err, "the permitted twin")
	c.wait(act)
}

func TestNetworkConflict(t *testing.T) {
	c := startCloud(t)
	n := c.network("net")
	release := c.hold("add_subnet")
	act, _, err := c.Network.AddSubnet(c.ctx, n, hcloud.NetworkAddSubnetOpts{Subnet: cloudSubnet(t, "10.0.2.0/24")})
	require.NoError(t, err)
	c.held()
	_, _, err = c.Network.AddSubnet(c.ctx, n, hcloud.NetworkAddSubnetOpts{Subnet: cloudSubnet(t, "10.0.3.0/24")})
	requireCode(t, err, hcloud.ErrorCodeConflict, "retry")
	_, err = c.Network.Delete(c.ctx, n)
	requireCode(t, err, hcloud.ErrorCodeConflict)
	release()
	c.wait(act)
	act, _, err = c.Network.AddSubnet(c.ctx, n, hcloud.NetworkAddSubnetOpts{Subnet: cloudSubnet(t, "10.0.3.0/24")})
	require.NoError(t, err)
	c.wait(act)
}
