package api_test

import (
	"net"
	"strings"
	"testing"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/localcloud/machine"
)

func TestServerIsMadeAsAsked(t *testing.T) {
	c := startCloud(t)
	n := c.network("net")
	group, _, err := c.PlacementGroup.Create(c.ctx, hcloud.PlacementGroupCreateOpts{Name: "spread", Type: hcloud.PlacementGroupTypeSpread})
	require.NoError(t, err)
	ip, _, err := c.PrimaryIP.Create(c.ctx, hcloud.PrimaryIPCreateOpts{Name: "ip", Type: hcloud.PrimaryIPTypeIPv4, Location: "fsn1", AssigneeType: "server"})
	require.NoError(t, err)
	fw, _, err := c.Firewall.Create(c.ctx, hcloud.FirewallCreateOpts{Name: "fw", Rules: []hcloud.FirewallRule{tcpRule("443")}})
	require.NoError(t, err)
	key, _, err := c.SSHKey.Create(c.ctx, hcloud.SSHKeyCreateOpts{Name: "key", PublicKey: testKey})
	require.NoError(t, err)

	s := c.server("server-0", func(o *hcloud.ServerCreateOpts) {
		o.UserData = "#cloud-config\n"
		o.Labels = map[string]string{"role": "vault"}
		o.Networks = []*hcloud.Network{n}
		o.PlacementGroup = group.PlacementGroup
		o.Firewalls = []*hcloud.ServerCreateFirewall{{Firewall: *fw.Firewall}}
		o.SSHKeys = []*hcloud.SSHKey{key}
		o.PublicNet = &hcloud.ServerCreatePublicNet{EnableIPv4: true, IPv4: ip.PrimaryIP}
	})

	assert.Equal(t, hcloud.ServerStatusRunning, s.Status)
	assert.False(t, s.Locked)
	assert.Equal(t, "cx23", s.ServerType.Name)
	assert.Equal(t, "debian-12", s.Image.Name)
	assert.Equal(t, "fsn1", s.Location.Name)
	assert.Equal(t, map[string]string{"role": "vault"}, s.Labels)
	assert.Equal(t, "198.18.0.2", s.PublicNet.IPv4.IP.String())
	assert.Equal(t, ip.PrimaryIP.ID, s.PublicNet.IPv4.ID)
	assert.Empty(t, s.PublicNet.IPv6.IP, "IPv6 was not enabled")
	require.Len(t, s.PublicNet.Firewalls, 1)
	assert.Equal(t, hcloud.FirewallStatusApplied, s.PublicNet.Firewalls[0].Status)
	require.Len(t, s.PrivateNet, 1)
	assert.Equal(t, "10.0.1.1", s.PrivateNet[0].IP.String())
	assert.NotEmpty(t, s.PrivateNet[0].MACAddress)
	require.NotNil(t, s.PlacementGroup)
	assert.Equal(t, []int64{s.ID}, s.PlacementGroup.Servers)

	m, found := c.runtime.machine(s.ID)
	require.True(t, found)
	assert.Equal(t, machine.Running, m.state)
	assert.Equal(t, "server-0", m.Name)
	assert.Equal(t, "#cloud-config\n", m.UserData)
	assert.Equal(t, "198.18.0.2", m.Public.String())
	assert.Equal(t, "10.0.1.1", m.Private[0].Address.String())
	assert.Equal(t, []string{testKey}, m.SSHKeys)
	assert.Equal(t, 2, m.Cores)
	assert.Equal(t, 4096, m.MemoryMiB)
	assert.True(t, m.Firewalled)
	require.Len(t, m.Rules, 1)
	assert.Equal(t, "443", m.Rules[0].Ports)
}

func TestServerGetsPrimaryIPsOfItsOwnByDefault(t *testing.T) {
	c := startCloud(t)
	s := c.server("plain")
	assert.Equal(t, "198.18.0.2", s.PublicNet.IPv4.IP.String())
	assert.Equal(t, "2001:db8:0:1::", s.PublicNet.IPv6.IP.String())
	m, _ := c.runtime.machine(s.ID)
	assert.False(t, m.Firewalled, "a server without firewall is open, as at Hetzner")

	ips, err := c.PrimaryIP.All(c.ctx)
	require.NoError(t, err)
	require.Len(t, ips, 2)
	assert.True(t, ips[0].AutoDelete)

	c.deleteServer(s)
	ips, err = c.PrimaryIP.All(c.ctx)
	require.NoError(t, err)
	assert.Empty(t, ips, "auto_delete takes them along")
}

func (c *cloud) deleteServer(s *hcloud.Server) {
	c.t.Helper()
	result, _, err := c.Server.DeleteWithResult(c.ctx, s)
	require.NoError(c.t, err)
	c.wait(result.Action)
}

// TestProviderCreatesPrivateServer makes a server without public network in the steps of the Terraform provider.
func TestProviderCreatesPrivateServer(t *testing.T) {
	c := startCloud(t)
	n := c.network("net")
	opts := serverOpts("private")
	opts.StartAfterCreate = hcloud.Ptr(false)
	opts.PublicNet = &hcloud.ServerCreatePublicNet{}
	result, _, err := c.Server.Create(c.ctx, opts)
	require.NoError(t, err)
	assert.Equal(t, hcloud.ServerStatusInitializing, result.Server.Status)
	assert.True(t, result.Server.Locked)
	assert.Empty(t, result.NextActions)
	c.wait(result.Action)
	assert.Equal(t, hcloud.ServerStatusOff, c.getServer(result.Server.ID).Status)

	act, _, err := c.Server.AttachToNetwork(c.ctx, result.Server, hcloud.ServerAttachToNetworkOpts{Network: n, IP: net.ParseIP("10.0.1.10")})
	require.NoError(t, err)
	c.wait(act)
	act, _, err = c.Server.Poweron(c.ctx, result.Server)
	require.NoError(t, err)
	c.wait(act)

	s := c.getServer(result.Server.ID)
	assert.Equal(t, hcloud.ServerStatusRunning, s.Status)
	assert.Equal(t, "10.0.1.10", s.PrivateNet[0].IP.String())
	assert.True(t, s.PublicNet.IPv4.IsUnspecified())
	m, _ := c.runtime.machine(s.ID)
	assert.Equal(t, "10.0.1.10", m.Private[0].Address.String())
	assert.False(t, m.Public.IsValid())
}

func TestServerCreateRefuses(t *testing.T) {
	c := startCloud(t)
	n := c.network("net")
	c.server("taken")
	assigned := c.getServer(c.server("holder").ID).PublicNet.IPv4.ID
	v6, _, err := c.PrimaryIP.Create(c.ctx, hcloud.PrimaryIPCreateOpts{Name: "v6", Type: hcloud.PrimaryIPTypeIPv6, Location: "fsn1", AssigneeType: "server"})
	require.NoError(t, err)
	elsewhere, _, err := c.PrimaryIP.Create(c.ctx, hcloud.PrimaryIPCreateOpts{Name: "hel", Type: hcloud.PrimaryIPTypeIPv4, Location: "hel1", AssigneeType: "server"})
	require.NoError(t, err)
	fw, _, err := c.Firewall.Create(c.ctx, hcloud.FirewallCreateOpts{Name: "fw"})
	require.NoError(t, err)

	publicIP := func(id int64) func(*hcloud.ServerCreateOpts) {
		return func(o *hcloud.ServerCreateOpts) {
			o.PublicNet = &hcloud.ServerCreatePublicNet{EnableIPv4: true, IPv4: &hcloud.PrimaryIP{ID: id}}
		}
	}
	tests := map[string]struct {
		change func(*hcloud.ServerCreateOpts)
		code   hcloud.ErrorCode
		words  string
	}{
		"name taken":         {func(o *hcloud.ServerCreateOpts) { o.Name = "taken" }, hcloud.ErrorCodeUniquenessError, "taken"},
		"name no host name":  {func(o *hcloud.ServerCreateOpts) { o.Name = "under_score" }, hcloud.ErrorCodeInvalidInput, "RFC 1123"},
		"server type":        {func(o *hcloud.ServerCreateOpts) { o.ServerType.Name = "cx11" }, hcloud.ErrorCodeInvalidInput, "cx11"},
		"image":              {func(o *hcloud.ServerCreateOpts) { o.Image.Name = "windows-95" }, hcloud.ErrorCodeInvalidInput, "windows-95"},
		"location":           {func(o *hcloud.ServerCreateOpts) { o.Location.Name = "moon1" }, hcloud.ErrorCodeInvalidInput, "moon1"},
		"user data too long": {func(o *hcloud.ServerCreateOpts) { o.UserData = strings.Repeat("x", 32<<10+1) }, hcloud.ErrorCodeInvalidInput, "32768"},
		"label":              {func(o *hcloud.ServerCreateOpts) { o.Labels = map[string]string{"a b": ""} }, hcloud.ErrorCodeInvalidInput, "a b"},
		"no such network":    {func(o *hcloud.ServerCreateOpts) { o.Networks = []*hcloud.Network{{ID: 1}} }, hcloud.ErrorCodeNotFound, "network"},
		"network twice":      {func(o *hcloud.ServerCreateOpts) { o.Networks = []*hcloud.Network{n, n} }, hcloud.ErrorCodeServerAlreadyAttached, "net"},
		"no such group":      {func(o *hcloud.ServerCreateOpts) { o.PlacementGroup = &hcloud.PlacementGroup{ID: 1} }, hcloud.ErrorCodeNotFound, "placement_group"},
		"no such key":        {func(o *hcloud.ServerCreateOpts) { o.SSHKeys = []*hcloud.SSHKey{{ID: 1}} }, hcloud.ErrorCodeInvalidInput, "SSH key"},
		"no such firewall": {func(o *hcloud.ServerCreateOpts) {
			o.Firewalls = []*hcloud.ServerCreateFirewall{{Firewall: hcloud.Firewall{ID: 1}}}
		}, hcloud.ErrorCodeNotFound, "firewall"},
		"firewall without public net": {func(o *hcloud.ServerCreateOpts) {
			o.Networks, o.PublicNet = []*hcloud.Network{n}, &hcloud.ServerCreatePublicNet{}
			o.Firewalls = []*hcloud.ServerCreateFirewall{{Firewall: *fw.Firewall}}
		}, hcloud.ErrorCodePrivateNetOnlyServer, "public interface"},
		"IP assigned":     {publicIP(assigned), hcloud.ErrorCodePrimaryIPAssigned, "already assigned"},
		"IP of version 6": {publicIP(v6.PrimaryIP.ID), hcloud.ErrorCodePrimaryIPVersionMismatch, "ipv6"},
		"IP elsewhere":    {publicIP(elsewhere.PrimaryIP.ID), hcloud.ErrorCodePrimaryIPDatacenterMismatch, "location"},
		"no such IP":      {publicIP(1), hcloud.ErrorCodeNotFound, "primary_ip"},
		"volumes":         {func(o *hcloud.ServerCreateOpts) { o.Volumes = []*hcloud.Volume{{ID: 1}} }, "not_implemented", "volumes"},
		"unreachable start": {func(o *hcloud.ServerCreateOpts) {
			o.StartAfterCreate, o.PublicNet = hcloud.Ptr(true), &hcloud.ServerCreatePublicNet{}
		}, hcloud.ErrorCodeInvalidInput, "network"},
	}
	before := c.runtime.ids()
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			opts := serverOpts("new")
			tt.change(&opts)
			_, _, err := c.Server.Create(c.ctx, opts)
			requireCode(t, err, tt.code, tt.words)
		})
	}
	servers, err := c.Server.All(c.ctx)
	require.NoError(t, err)
	assert.Len(t, servers, 2, "nothing of a refused server stays")
	ips, err := c.PrimaryIP.All(c.ctx)
	require.NoError(t, err)
	assert.Len(t, ips, 6, "nor of its addresses")
	assert.Equal(t, before, c.runtime.ids())
}

func TestServerUpdateAndName(t *testing.T) {
	c := startCloud(t)
	s, other := c.server("one"), c.server("two")
	updated, _, err := c.Server.Update(c.ctx, s, hcloud.ServerUpdateOpts{Name: "three", Labels: map[string]string{"a": "b"}})
	require.NoError(t, err)
	assert.Equal(t, "three", updated.Name)
	assert.Equal(t, map[string]string{"a": "b"}, c.getServer(s.ID).Labels)

	_, _, err = c.Server.Update(c.ctx, other, hcloud.ServerUpdateOpts{Name: "three"})
	requireCode(t, err, hcloud.ErrorCodeUniquenessError, "three")
	_, _, err = c.Server.Update(c.ctx, other, hcloud.ServerUpdateOpts{Labels: map[string]string{"": "b"}})
	requireCode(t, err, hcloud.ErrorCodeInvalidInput, "label")
	found, _, err := c.Server.GetByName(c.ctx, "three")
	require.NoError(t, err)
	assert.Equal(t, s.ID, found.ID)
}

func TestServerThatIsNotThere(t *testing.T) {
	c := startCloud(t)
	gone := &hcloud.Server{ID: 1}
	s, _, err := c.Server.GetByID(c.ctx, 1)
	require.NoError(t, err, "the client makes nil of not_found")
	assert.Nil(t, s)
	_, _, err = c.Server.DeleteWithResult(c.ctx, gone)
	requireCode(t, err, hcloud.ErrorCodeNotFound)
	_, _, err = c.Server.Reboot(c.ctx, gone)
	requireCode(t, err, hcloud.ErrorCodeNotFound)
}
