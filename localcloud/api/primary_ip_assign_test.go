package api_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func (c *cloud) powerOff(s *hcloud.Server) {
	c.t.Helper()
	act, _, err := c.Server.Poweroff(c.ctx, s)
	require.NoError(c.t, err)
	c.wait(act)
}

func (c *cloud) assign(ip *hcloud.PrimaryIP, s *hcloud.Server) (*hcloud.Action, error) {
	act, _, err := c.PrimaryIP.Assign(c.ctx, hcloud.PrimaryIPAssignOpts{ID: ip.ID, AssigneeID: s.ID, AssigneeType: "server"})
	return act, err
}

func (c *cloud) unassign(ip *hcloud.PrimaryIP) *hcloud.Action {
	c.t.Helper()
	act, _, err := c.PrimaryIP.Unassign(c.ctx, ip.ID)
	require.NoError(c.t, err)
	return act
}

// public is the address that the machine of a server has.
func (c *cloud) public(s *hcloud.Server) netip.Addr {
	c.t.Helper()
	m, found := c.runtime.machine(s.ID)
	require.True(c.t, found)
	return m.Public
}

func TestPrimaryIPIsAssignedToServersThatAreOff(t *testing.T) {
	c := startCloud(t)
	n, ip := c.network("net"), c.primaryIP("ip")
	s := c.server("private", func(o *hcloud.ServerCreateOpts) {
		o.Networks, o.PublicNet = []*hcloud.Network{n}, &hcloud.ServerCreatePublicNet{}
	})

	_, err := c.assign(ip, s)
	requireCode(t, err, hcloud.ErrorCodeServerNotStopped, "powered off")
	assert.Zero(t, c.getPrimaryIP(ip.ID).AssigneeID)
	assert.False(t, c.public(s).IsValid())

	c.powerOff(s)
	act, err := c.assign(ip, s)
	require.NoError(t, err)
	c.wait(act)
	assert.Equal(t, s.ID, c.getPrimaryIP(ip.ID).AssigneeID)
	assert.Equal(t, ip.IP.String(), c.public(s).String())
}

func TestFirewallFollowsThePublicAddress(t *testing.T) {
	c := startCloud(t)
	ip, spare := c.primaryIP("ip"), c.primaryIP("spare")
	fw, _, err := c.Firewall.Create(c.ctx, hcloud.FirewallCreateOpts{Name: "fw", Rules: []hcloud.FirewallRule{tcpRule("443")}})
	require.NoError(t, err)
	s := c.server("s", withPublicIP(ip), func(o *hcloud.ServerCreateOpts) {
		o.Firewalls = []*hcloud.ServerCreateFirewall{{Firewall: *fw.Firewall}}
	})
	c.powerOff(s)
	c.wait(c.unassign(ip))
	act, err := c.assign(spare, s)
	require.NoError(t, err)
	c.wait(act)
	m, _ := c.runtime.machine(s.ID)
	assert.Equal(t, spare.IP.String(), m.Public.String())
	assert.True(t, m.Firewalled)
	require.Len(t, m.Rules, 1)
	assert.Equal(t, "443", m.Rules[0].Ports)

	open := c.server("open", withPublicIP(ip))
	c.powerOff(open)
	c.wait(c.unassign(ip))
	act, err = c.assign(ip, open)
	require.NoError(t, err)
	c.wait(act)
	m, _ = c.runtime.machine(open.ID)
	assert.False(t, m.Firewalled, "a server without firewall is open, as at Hetzner")
}

// TestPrimaryIPIsLockedUntilItsServerLetsGo expects that no address is promised to two machines.
func TestPrimaryIPIsLockedUntilItsServerLetsGo(t *testing.T) {
	c := startCloud(t)
	ip := c.primaryIP("ip")
	s := c.server("s", withPublicIP(ip))
	other := c.server("other", func(o *hcloud.ServerCreateOpts) { o.PublicNet = &hcloud.ServerCreatePublicNet{EnableIPv6: true} })
	c.powerOff(s)
	c.powerOff(other)

	release := c.hold("unassign_primary_ip")
	act := c.unassign(ip)
	c.held()
	_, err := c.assign(ip, other)
	requireCode(t, err, hcloud.ErrorCodeLocked, "unassign_primary_ip")
	opts := serverOpts("new")
	withPublicIP(ip)(&opts)
	_, _, err = c.Server.Create(c.ctx, opts)
	requireCode(t, err, hcloud.ErrorCodeLocked, "unassign_primary_ip")
	_, err = c.PrimaryIP.Delete(c.ctx, ip)
	requireCode(t, err, hcloud.ErrorCodeLocked, "unassign_primary_ip")
	release()
	c.wait(act)

	act, err = c.assign(ip, other)
	require.NoError(t, err)
	c.wait(act)
	assert.Equal(t, ip.IP.String(), c.public(other).String())
	assert.False(t, c.public(s).IsValid())
}

func TestFailedAssignmentIsUndone(t *testing.T) {
	c := startCloud(t)
	ip := c.primaryIP("ip")
	s := c.server("s", withPublicIP(ip))
	c.powerOff(s)
	failing := func(act *hcloud.Action) {
		t.Helper()
		require.ErrorContains(t, c.Action.WaitFor(c.ctx, act), "no hands")
		c.runtime.fail("SetPublic", nil)
	}

	c.runtime.fail("SetPublic", errors.New("no hands"))
	failing(c.unassign(ip))
	assert.Equal(t, s.ID, c.getPrimaryIP(ip.ID).AssigneeID, "its machine still has it")
	c.wait(c.unassign(ip))

	c.runtime.fail("SetPublic", errors.New("no hands"))
	act, err := c.assign(ip, s)
	require.NoError(t, err)
	failing(act)
	assert.Zero(t, c.getPrimaryIP(ip.ID).AssigneeID)
	act, err = c.assign(ip, s)
	require.NoError(t, err)
	c.wait(act)
	assert.Equal(t, ip.IP.String(), c.public(s).String())
}

// TestInterruptedAssignmentIsResumed interrupts an attempt at both ends: before the machine was changed, and after.
func TestInterruptedAssignmentIsResumed(t *testing.T) {
	for _, reached := range []bool{false, true} {
		t.Run(fmt.Sprintf("machine reached %t", reached), func(t *testing.T) {
			c := startCloud(t)
			ip := c.primaryIP("ip")
			s := c.server("s", withPublicIP(ip))
			c.powerOff(s)
			interrupt := func(act *hcloud.Action, addr netip.Addr) {
				c.held()
				c.stop()
				if reached {
					require.NoError(t, c.runtime.SetPublic(c.ctx, s.ID, addr))
				}
				c = openCloud(t, c.runtime, c.dir)
				c.wait(act)
				assert.Equal(t, addr, c.public(s))
			}

			c.hold("unassign_primary_ip")
			interrupt(c.unassign(ip), netip.Addr{})
			assert.Zero(t, c.getPrimaryIP(ip.ID).AssigneeID)

			c.hold("assign_primary_ip")
			act, err := c.assign(ip, s)
			require.NoError(t, err)
			interrupt(act, netip.MustParseAddr(ip.IP.String()))
			assert.Equal(t, s.ID, c.getPrimaryIP(ip.ID).AssigneeID)
			m, _ := c.runtime.machine(s.ID)
			assert.False(t, m.Firewalled, "its firewall was set too")
		})
	}
}
