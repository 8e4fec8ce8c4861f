package api_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestServerProtection(t *testing.T) {
	c := startCloud(t)
	s := c.server("s")
	act, _, err := c.Server.ChangeProtection(c.ctx, s, hcloud.ServerChangeProtectionOpts{Delete: hcloud.Ptr(true), Rebuild: hcloud.Ptr(true)})
	require.NoError(t, err)
	c.wait(act)
	assert.Equal(t, hcloud.ServerProtection{Delete: true, Rebuild: true}, c.getServer(s.ID).Protection)
	_, _, err = c.Server.DeleteWithResult(c.ctx, s)
	requireCode(t, err, hcloud.ErrorCodeProtected)
	_, _, err = c.Server.RebuildWithResult(c.ctx, s, hcloud.ServerRebuildOpts{Image: &hcloud.Image{Name: "debian-12"}})
	requireCode(t, err, hcloud.ErrorCodeProtected)
	_, _, err = c.Server.ChangeProtection(c.ctx, s, hcloud.ServerChangeProtectionOpts{Delete: hcloud.Ptr(false)})
	requireCode(t, err, hcloud.ErrorCodeInvalidInput, "same value")
	act, _, err = c.Server.ChangeProtection(c.ctx, s, hcloud.ServerChangeProtectionOpts{Delete: hcloud.Ptr(false), Rebuild: hcloud.Ptr(false)})
	require.NoError(t, err)
	c.wait(act)
	c.deleteServer(s)
}

func TestRebuildGivesAFreshDisk(t *testing.T) {
	c := startCloud(t)
	s := c.server("s", func(o *hcloud.ServerCreateOpts) { o.UserData = "old" })
	result, _, err := c.Server.RebuildWithResult(c.ctx, s, hcloud.ServerRebuildOpts{Image: &hcloud.Image{Name: "debian-12"}, UserData: hcloud.Ptr("new")})
	require.NoError(t, err)
	c.wait(result.Action)
	m, _ := c.runtime.machine(s.ID)
	assert.Equal(t, "new", m.UserData)
	assert.Equal(t, s.PublicNet.IPv4.IP.String(), m.Public.String(), "the same identity")
	assert.Contains(t, c.runtime.calls, fmt.Sprintf("Rebuild %d", s.ID))

	_, _, err = c.Server.RebuildWithResult(c.ctx, s, hcloud.ServerRebuildOpts{Image: &hcloud.Image{Name: "beos"}})
	requireCode(t, err, hcloud.ErrorCodeInvalidInput, "beos")
	_, _, err = c.Server.RebuildWithResult(c.ctx, s, hcloud.ServerRebuildOpts{Image: &hcloud.Image{Name: "debian-12"}, UserData: hcloud.Ptr(strings.Repeat("x", 40000))})
	requireCode(t, err, hcloud.ErrorCodeInvalidInput, "32768")
}

// A server gets another type while it is off, and is started. Its disk grows with it only if that is asked for, and never shrinks.
func TestChangeOfType(t *testing.T) {
	c := startCloud(t)
	s := c.server("s") // a cx23 with a disk of 40 GB
	change := func(to string, disk bool) error {
		act, _, err := c.Server.ChangeType(c.ctx, s, hcloud.ServerChangeTypeOpts{ServerType: &hcloud.ServerType{Name: to}, UpgradeDisk: disk})
		if err != nil {
			return err
		}
		assert.Equal(t, "change_server_type", act.Command)
		c.wait(act)
		return nil
	}
	off := func() {
		act, _, err := c.Server.Poweroff(c.ctx, s)
		require.NoError(t, err)
		c.wait(act)
	}
	requireSize := func(kind string, disk, cores, memory int) {
		t.Helper()
		got := c.getServer(s.ID)
		m, _ := c.runtime.machine(s.ID)
		assert.Equal(t, []any{kind, disk, cores, memory}, []any{got.ServerType.Name, got.PrimaryDiskSize, m.Cores, m.MemoryMiB})
	}
	requireCode(t, change("cx33", false), hcloud.ErrorCodeServerNotStopped)
	requireSize("cx23", 40, 2, 4096)
	off()
	require.NoError(t, change("cx33", false))
	requireSize("cx33", 40, 4, 8192)
	assert.Equal(t, hcloud.ServerStatusRunning, c.getServer(s.ID).Status)
	off()
	require.NoError(t, change("cx23", false), "the disk still fits")
	requireSize("cx23", 40, 2, 4096)
	off()
	require.NoError(t, change("cx33", true))
	requireSize("cx33", 80, 4, 8192)
	off()
	requireCode(t, change("cx23", false), hcloud.ErrorCodeInvalidServerType, "40 GB", "80 GB")
	requireCode(t, change("cx33", false), hcloud.ErrorCodeInvalidServerType, "already")
	requireCode(t, change("cx99", false), hcloud.ErrorCodeInvalidInput, "cx99")
	requireSize("cx33", 80, 4, 8192)
}

func TestPlacementGroupMembers(t *testing.T) {
	c := startCloud(t)
	created, _, err := c.PlacementGroup.Create(c.ctx, hcloud.PlacementGroupCreateOpts{Name: "g", Type: hcloud.PlacementGroupTypeSpread})
	require.NoError(t, err)
	g := created.PlacementGroup
	s := c.server("s")
	_, _, err = c.Server.AddToPlacementGroup(c.ctx, s, g)
	requireCode(t, err, hcloud.ErrorCodeServerNotStopped)
	act, _, err := c.Server.Poweroff(c.ctx, s)
	require.NoError(t, err)
	c.wait(act)
	act, _, err = c.Server.AddToPlacementGroup(c.ctx, s, g)
	require.NoError(t, err)
	c.wait(act)
	_, err = c.PlacementGroup.Delete(c.ctx, g)
	requireCode(t, err, hcloud.ErrorCodeResourceInUse)
	_, _, err = c.Server.AddToPlacementGroup(c.ctx, s, g)
	requireCode(t, err, hcloud.ErrorCodeInvalidInput, "already")

	for i := range 9 {
		c.server(fmt.Sprint("s", i), func(o *hcloud.ServerCreateOpts) { o.PlacementGroup = g })
	}
	opts := serverOpts("eleventh")
	opts.PlacementGroup = g
	_, _, err = c.Server.Create(c.ctx, opts)
	requireCode(t, err, hcloud.ErrorCodePlacementError, "10 servers")

	act, _, err = c.Server.RemoveFromPlacementGroup(c.ctx, s)
	require.NoError(t, err)
	c.wait(act)
	assert.Nil(t, c.getServer(s.ID).PlacementGroup)
	_, _, err = c.Server.RemoveFromPlacementGroup(c.ctx, s)
	requireCode(t, err, hcloud.ErrorCodeInvalidInput, "no placement group")
}

func TestServerLimit(t *testing.T) {
	limits := bigLimits
	limits.Servers = 1
	c := startCloud(t, withLimits(limits))
	c.server("s")
	_, _, err := c.Server.Create(c.ctx, serverOpts("t"))
	requireCode(t, err, hcloud.ErrorCodeResourceLimitExceeded, "server_limit")
}

func TestAttachAndDetach(t *testing.T) {
	c := startCloud(t)
	n := c.network("net")
	empty, _, err := c.Network.Create(c.ctx, hcloud.NetworkCreateOpts{Name: "empty", IPRange: prefix(t, "10.5.0.0/16")})
	require.NoError(t, err)
	holder, s := c.server("holder"), c.server("s")
	act, _, err := c.Server.AttachToNetwork(c.ctx, holder, hcloud.ServerAttachToNetworkOpts{Network: n, IP: net.ParseIP("10.0.1.5")})
	require.NoError(t, err)
	c.wait(act)

	tests := map[string]struct {
		opts  hcloud.ServerAttachToNetworkOpts
		code  hcloud.ErrorCode
		words string
	}{
		"address taken":     {hcloud.ServerAttachToNetworkOpts{Network: n, IP: net.ParseIP("10.0.1.5")}, hcloud.ErrorCodeIPNotAvailable, "holder"},
		"outside":           {hcloud.ServerAttachToNetworkOpts{Network: n, IP: net.ParseIP("10.0.2.5")}, hcloud.ErrorCodeInvalidInput, "not in a subnet"},
		"network address":   {hcloud.ServerAttachToNetworkOpts{Network: n, IP: net.ParseIP("10.0.1.0")}, hcloud.ErrorCodeIPNotAvailable, "reserved"},
		"broadcast address": {hcloud.ServerAttachToNetworkOpts{Network: n, IP: net.ParseIP("10.0.1.255")}, hcloud.ErrorCodeIPNotAvailable, "reserved"},
		"no subnet":         {hcloud.ServerAttachToNetworkOpts{Network: empty}, hcloud.ErrorCodeNoSubnetAvailable, "no subnet"},
		"no such network":   {hcloud.ServerAttachToNetworkOpts{Network: &hcloud.Network{ID: 1}}, hcloud.ErrorCodeNotFound, "network"},
		"no such subnet":    {hcloud.ServerAttachToNetworkOpts{Network: n, IPRange: prefix(t, "10.0.9.0/24")}, hcloud.ErrorCodeInvalidInput, "10.0.9.0/24"},
		"alias IPs":         {hcloud.ServerAttachToNetworkOpts{Network: n, AliasIPs: []net.IP{net.ParseIP("10.0.1.6")}}, "not_implemented", "alias IPs"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, _, err := c.Server.AttachToNetwork(c.ctx, s, tt.opts)
			requireCode(t, err, tt.code, tt.words)
		})
	}
	act, _, err = c.Server.AttachToNetwork(c.ctx, s, hcloud.ServerAttachToNetworkOpts{Network: n, IPRange: prefix(t, "10.0.1.0/24")})
	require.NoError(t, err)
	c.wait(act)
	assert.Equal(t, "10.0.1.1", c.getServer(s.ID).PrivateNet[0].IP.String())
	_, _, err = c.Server.AttachToNetwork(c.ctx, s, hcloud.ServerAttachToNetworkOpts{Network: n})
	requireCode(t, err, hcloud.ErrorCodeServerAlreadyAttached)
	_, _, err = c.Server.DetachFromNetwork(c.ctx, s, hcloud.ServerDetachFromNetworkOpts{Network: empty})
	requireCode(t, err, hcloud.ErrorCodeNotFound, "not attached")
	act, _, err = c.Server.DetachFromNetwork(c.ctx, s, hcloud.ServerDetachFromNetworkOpts{Network: n})
	require.NoError(t, err)
	c.wait(act)
	assert.Empty(t, c.getServer(s.ID).PrivateNet)
	m, _ := c.runtime.machine(s.ID)
	assert.Empty(t, m.Private)
}

func TestAttachmentIsGivenBackWhenItFails(t *testing.T) {
	c := startCloud(t)
	n := c.network("net")
	s := c.server("s")
	c.runtime.fail("Attach", fmt.Errorf("no more interfaces"))
	opts := hcloud.ServerAttachToNetworkOpts{Network: n, IP: net.ParseIP("10.0.1.5")}
	act, _, err := c.Server.AttachToNetwork(c.ctx, s, opts)
	require.NoError(t, err)
	require.ErrorContains(t, c.Action.WaitFor(c.ctx, act), "no more interfaces")
	assert.Empty(t, c.getServer(s.ID).PrivateNet)
	c.runtime.fail("Attach", nil)
	act, _, err = c.Server.AttachToNetwork(c.ctx, s, opts)
	require.NoError(t, err, "the address is free again")
	c.wait(act)
}

func TestPlacementGroupRefuses(t *testing.T) {
	limits := bigLimits
	limits.PlacementGroups = 1
	c := startCloud(t, withLimits(limits))
	_, _, err := c.PlacementGroup.Create(c.ctx, hcloud.PlacementGroupCreateOpts{Name: "g", Type: "heap"})
	requireCode(t, err, hcloud.ErrorCodeInvalidInput, "heap")
	c.groups(1)
	_, _, err = c.PlacementGroup.Create(c.ctx, hcloud.PlacementGroupCreateOpts{Name: "g", Type: "spread"})
	requireCode(t, err, hcloud.ErrorCodeResourceLimitExceeded)
	g, _, err := c.PlacementGroup.GetByName(c.ctx, "group-00")
	require.NoError(t, err)
	g, _, err = c.PlacementGroup.Update(c.ctx, g, hcloud.PlacementGroupUpdateOpts{Name: "h", Labels: map[string]string{"a": "b"}})
	require.NoError(t, err)
	assert.Equal(t, "h", g.Name)
	_, err = c.PlacementGroup.Delete(c.ctx, g)
	require.NoError(t, err)
}
