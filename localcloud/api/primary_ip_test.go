package api_test

import (
	"net/netip"
	"testing"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/localcloud/api"
)

func (c *cloud) primaryIP(name string) *hcloud.PrimaryIP {
	c.t.Helper()
	result, _, err := c.PrimaryIP.Create(c.ctx, hcloud.PrimaryIPCreateOpts{Name: name, Type: hcloud.PrimaryIPTypeIPv4, Location: "fsn1", AssigneeType: "server"})
	require.NoError(c.t, err)
	assert.Nil(c.t, result.Action)
	return result.PrimaryIP
}

func (c *cloud) getPrimaryIP(id int64) *hcloud.PrimaryIP {
	c.t.Helper()
	ip, _, err := c.PrimaryIP.GetByID(c.ctx, id)
	require.NoError(c.t, err)
	return ip
}

func withPublicIP(ip *hcloud.PrimaryIP) func(*hcloud.ServerCreateOpts) {
	return func(o *hcloud.ServerCreateOpts) {
		o.PublicNet = &hcloud.ServerCreatePublicNet{EnableIPv4: true, IPv4: ip}
	}
}

func TestPrimaryIPOutlivesItsServer(t *testing.T) {
	c := startCloud(t)
	ip := c.primaryIP("ip")
	assert.Equal(t, "198.18.0.2", ip.IP.String())
	assert.Equal(t, "fsn1", ip.Location.Name)
	assert.Equal(t, "server", ip.AssigneeType)
	assert.Zero(t, ip.AssigneeID)

	s := c.server("s", withPublicIP(ip))
	assert.Equal(t, s.ID, c.getPrimaryIP(ip.ID).AssigneeID)
	found, _, err := c.PrimaryIP.GetByIP(c.ctx, "198.18.0.2")
	require.NoError(t, err)
	assert.Equal(t, ip.ID, found.ID)

	c.deleteServer(s)
	assert.Zero(t, c.getPrimaryIP(ip.ID).AssigneeID)
	next := c.server("s", withPublicIP(ip))
	assert.Equal(t, "198.18.0.2", next.PublicNet.IPv4.IP.String(), "the replacement has the same address")
}

func TestPrimaryIPAssignment(t *testing.T) {
	c := startCloud(t)
	ip, spare := c.primaryIP("ip"), c.primaryIP("spare")
	s := c.server("s", withPublicIP(ip))
	assign := hcloud.PrimaryIPAssignOpts{ID: spare.ID, AssigneeID: s.ID, AssigneeType: "server"}

	_, _, err := c.PrimaryIP.Unassign(c.ctx, ip.ID)
	requireCode(t, err, hcloud.ErrorCodeServerNotStopped, "powered off")
	_, err = c.PrimaryIP.Delete(c.ctx, ip)
	requireCode(t, err, hcloud.ErrorCodeServerNotStopped)
	_, _, err = c.PrimaryIP.Assign(c.ctx, assign)
	requireCode(t, err, hcloud.ErrorCodeServerHasIPv4)

	act, _, err := c.Server.Poweroff(c.ctx, s)
	require.NoError(t, err)
	c.wait(act)
	act, _, err = c.PrimaryIP.Unassign(c.ctx, ip.ID)
	require.NoError(t, err)
	c.wait(act)
	assert.Zero(t, c.getPrimaryIP(ip.ID).AssigneeID)
	m, _ := c.runtime.machine(s.ID)
	assert.False(t, m.Public.IsValid())
	_, _, err = c.PrimaryIP.Unassign(c.ctx, ip.ID)
	requireCode(t, err, "primary_ip_not_assigned")

	act, _, err = c.PrimaryIP.Assign(c.ctx, assign)
	require.NoError(t, err)
	c.wait(act)
	m, _ = c.runtime.machine(s.ID)
	assert.Equal(t, spare.IP.String(), m.Public.String())
	assert.Equal(t, spare.IP.String(), c.getServer(s.ID).PublicNet.IPv4.IP.String())
	_, _, err = c.PrimaryIP.Assign(c.ctx, assign)
	requireCode(t, err, hcloud.ErrorCodePrimaryIPAlreadyAssigned)

	_, err = c.PrimaryIP.Delete(c.ctx, spare)
	require.NoError(t, err, "deletion unassigns, the server being off")
	assert.Nil(t, c.getPrimaryIP(spare.ID))
	acts, err := c.Server.Action.AllFor(c.ctx, s, hcloud.ActionListOpts{})
	require.NoError(t, err)
	c.wait(acts...)
	m, _ = c.runtime.machine(s.ID)
	assert.False(t, m.Public.IsValid())

	result, _, err := c.PrimaryIP.Create(c.ctx, hcloud.PrimaryIPCreateOpts{Name: "made for s", Type: hcloud.PrimaryIPTypeIPv4, AssigneeID: &s.ID, AssigneeType: "server"})
	require.NoError(t, err)
	c.wait(result.Action)
	m, _ = c.runtime.machine(s.ID)
	assert.Equal(t, result.PrimaryIP.IP.String(), m.Public.String())
}

func TestPrimaryIPProtectionAndUpdate(t *testing.T) {
	c := startCloud(t)
	ip := c.primaryIP("ip")
	act, _, err := c.PrimaryIP.ChangeProtection(c.ctx, hcloud.PrimaryIPChangeProtectionOpts{ID: ip.ID, Delete: true})
	require.NoError(t, err)
	c.wait(act)
	_, err = c.PrimaryIP.Delete(c.ctx, ip)
	requireCode(t, err, hcloud.ErrorCodeProtected)
	updated, _, err := c.PrimaryIP.Update(c.ctx, ip, hcloud.PrimaryIPUpdateOpts{Name: "new", AutoDelete: hcloud.Ptr(true), Labels: &map[string]string{"a": "b"}})
	require.NoError(t, err)
	assert.Equal(t, "new", updated.Name)
	assert.True(t, updated.AutoDelete)
	assert.True(t, updated.Protection.Delete)
	assert.Equal(t, map[string]string{"a": "b"}, updated.Labels)
	c.primaryIP("other")
	_, _, err = c.PrimaryIP.Update(c.ctx, ip, hcloud.PrimaryIPUpdateOpts{Name: "other"})
	requireCode(t, err, hcloud.ErrorCodeUniquenessError)
}

func TestPrimaryIPCreateRefuses(t *testing.T) {
	limits := bigLimits
	limits.PrimaryIPs = 2
	c := startCloud(t, withLimits(limits))
	c.primaryIP("taken")
	tests := map[string]struct {
		opts  hcloud.PrimaryIPCreateOpts
		code  hcloud.ErrorCode
		words string
	}{
		"type":           {hcloud.PrimaryIPCreateOpts{Name: "n", Type: "ipx", Location: "fsn1"}, hcloud.ErrorCodeInvalidInput, "ipx"},
		"location":       {hcloud.PrimaryIPCreateOpts{Name: "n", Type: "ipv4", Location: "moon1"}, hcloud.ErrorCodeInvalidInput, "moon1"},
		"no location":    {hcloud.PrimaryIPCreateOpts{Name: "n", Type: "ipv4"}, hcloud.ErrorCodeInvalidInput, "required"},
		"assignee type":  {hcloud.PrimaryIPCreateOpts{Name: "n", Type: "ipv4", Location: "fsn1", AssigneeType: "tree"}, hcloud.ErrorCodeInvalidInput, "tree"},
		"both":           {hcloud.PrimaryIPCreateOpts{Name: "n", Type: "ipv4", Location: "fsn1", AssigneeID: hcloud.Ptr(int64(1))}, hcloud.ErrorCodeInvalidInput, "together"},
		"no such server": {hcloud.PrimaryIPCreateOpts{Name: "n", Type: "ipv4", AssigneeID: hcloud.Ptr(int64(1))}, hcloud.ErrorCodeNotFound, "server"},
		"name taken":     {hcloud.PrimaryIPCreateOpts{Name: "taken", Type: "ipv4", Location: "fsn1"}, hcloud.ErrorCodeUniquenessError, "taken"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, _, err := c.PrimaryIP.Create(c.ctx, tt.opts)
			requireCode(t, err, tt.code, tt.words)
		})
	}
	c.primaryIP("second")
	_, _, err := c.PrimaryIP.Create(c.ctx, hcloud.PrimaryIPCreateOpts{Name: "third", Type: "ipv4", Location: "fsn1"})
	requireCode(t, err, hcloud.ErrorCodeResourceLimitExceeded, "primary_ip_limit")
}

func TestPublicAddressesAreGivenOutInTurn(t *testing.T) {
	c := startCloud(t, func(o *api.Options) { o.PublicRange = netip.MustParsePrefix("198.18.0.0/29") })
	first := c.primaryIP("first")
	assert.Equal(t, "198.18.0.2", first.IP.String())
	_, err := c.PrimaryIP.Delete(c.ctx, first)
	require.NoError(t, err)
	var ips []string
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		ips = append(ips, c.primaryIP(name).IP.String())
	}
	assert.Equal(t, []string{"198.18.0.3", "198.18.0.4", "198.18.0.5", "198.18.0.6", "198.18.0.2"}, ips, "what was given back comes last")
	_, _, err = c.PrimaryIP.Create(c.ctx, hcloud.PrimaryIPCreateOpts{Name: "f", Type: "ipv4", Location: "fsn1"})
	requireCode(t, err, hcloud.ErrorCodeResourceUnavailable, "198.18.0.0/29")
}

// A server that is refused for its second address takes nothing with it: the caller's own address stays, although it is
// one that goes with its server, and the address that was made for it is gone.
func TestRefusedServerLeavesPrimaryIPs(t *testing.T) {
	limits := bigLimits
	limits.PrimaryIPs = 1
	c := startCloud(t, withLimits(limits))
	mine, _, err := c.PrimaryIP.Create(c.ctx, hcloud.PrimaryIPCreateOpts{
		Name: "mine", Type: hcloud.PrimaryIPTypeIPv4, AssigneeType: "server", Location: "fsn1", AutoDelete: hcloud.Ptr(true),
	})
	require.NoError(t, err)
	before := c.remaining()
	with := func(ip *hcloud.PrimaryIP, v6 bool) error {
		opts := serverOpts("s")
		opts.PublicNet = &hcloud.ServerCreatePublicNet{EnableIPv4: true, EnableIPv6: v6, IPv4: ip}
		result, _, err := c.Server.Create(c.ctx, opts)
		if err == nil {
			c.wait(append(result.NextActions, result.Action)...)
		}
		return err
	}
	requireCode(t, with(mine.PrimaryIP, true), hcloud.ErrorCodeResourceLimitExceeded, "primary_ip_limit")
	assert.JSONEq(t, before, c.remaining(), "the caller's own address")
	require.NoError(t, with(mine.PrimaryIP, false), "the permitted twin")
}

// The address that was made for a refused server goes.
func TestRefusedServerLeavesNoAddress(t *testing.T) {
	limits := bigLimits
	limits.PrimaryIPs = 1
	c := startCloud(t, withLimits(limits))
	before := c.remaining()
	_, _, err := c.Server.Create(c.ctx, serverOpts("s"))
	requireCode(t, err, hcloud.ErrorCodeResourceLimitExceeded, "primary_ip_limit")
	assert.JSONEq(t, before, c.remaining())
}
