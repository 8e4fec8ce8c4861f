package api_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/localcloud/machine"
)

// restart stops the local cloud and starts another on the same state and machines.
func (c *cloud) restart() *cloud {
	c.t.Helper()
	c.stop()
	return openCloud(c.t, c.runtime, c.dir)
}

// everything reads all that a client can see.
func (c *cloud) everything() string {
	c.t.Helper()
	actions, err := c.Server.Action.All(c.ctx, hcloud.ActionListOpts{})
	require.NoError(c.t, err)
	data, err := json.Marshal([]any{c.remaining(), actions})
	require.NoError(c.t, err)
	return string(data)
}

// remaining lists the resources there are.
func (c *cloud) remaining() string {
	c.t.Helper()
	servers, err := c.Server.All(c.ctx)
	require.NoError(c.t, err)
	networks, err := c.Network.All(c.ctx)
	require.NoError(c.t, err)
	firewalls, err := c.Firewall.All(c.ctx)
	require.NoError(c.t, err)
	ips, err := c.PrimaryIP.All(c.ctx)
	require.NoError(c.t, err)
	groups, err := c.PlacementGroup.All(c.ctx)
	require.NoError(c.t, err)
	keys, err := c.SSHKey.All(c.ctx)
	require.NoError(c.t, err)
	data, err := json.Marshal([]any{servers, networks, firewalls, ips, groups, keys})
	require.NoError(c.t, err)
	return string(data)
}

func TestStateSurvivesARestart(t *testing.T) {
	c := startCloud(t)
	n := c.network("net")
	_, _, err := c.Firewall.Create(c.ctx, hcloud.FirewallCreateOpts{Name: "fw", Rules: []hcloud.FirewallRule{tcpRule("22")}, ApplyTo: []hcloud.FirewallResource{selecting("a=b")}})
	require.NoError(t, err)
	_, _, err = c.SSHKey.Create(c.ctx, hcloud.SSHKeyCreateOpts{Name: "key", PublicKey: testKey})
	require.NoError(t, err)
	c.groups(1)
	s := c.server("s", func(o *hcloud.ServerCreateOpts) {
		o.Networks, o.Labels, o.UserData = []*hcloud.Network{n}, map[string]string{"a": "b"}, "secret"
	})
	before := c.everything()

	c = c.restart()
	assert.JSONEq(t, before, c.everything())
	m, _ := c.runtime.machine(s.ID)
	assert.Equal(t, machine.Running, m.state, "the machine was not touched")

	next := c.server("next")
	assert.Greater(t, next.ID, s.ID, "IDs are not used twice")
	assert.NotEqual(t, s.PublicNet.IPv4.IP, next.PublicNet.IPv4.IP)

	info, err := os.Stat(filepath.Join(c.dir, "state.json"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode(), "user-data may hold secrets")
}

func TestFirewallIsRestored(t *testing.T) {
	c := startCloud(t)
	_, _, err := c.Firewall.Create(c.ctx, hcloud.FirewallCreateOpts{Name: "fw", Rules: []hcloud.FirewallRule{tcpRule("22")}, ApplyTo: []hcloud.FirewallResource{selecting("a=b")}})
	require.NoError(t, err)
	s := c.server("s", func(o *hcloud.ServerCreateOpts) { o.Labels = map[string]string{"a": "b"} })
	c.stop()
	require.NoError(t, c.runtime.SetFirewall(c.ctx, s.ID, false, nil), "the host rebooted")
	c = openCloud(t, c.runtime, c.dir)
	m, _ := c.runtime.machine(s.ID)
	assert.True(t, m.Firewalled)
	assert.Len(t, m.Rules, 1)
}

func TestRunningActionsAreResumed(t *testing.T) {
	c := startCloud(t)
	c.hold("create_server")
	result, _, err := c.Server.Create(c.ctx, serverOpts("s"))
	require.NoError(t, err)
	c.held()
	c = c.restart()
	c.wait(append(result.NextActions, result.Action)...)
	assert.Equal(t, hcloud.ServerStatusRunning, c.getServer(result.Server.ID).Status)

	c.hold("delete_server")
	deleted, _, err := c.Server.DeleteWithResult(c.ctx, result.Server)
	require.NoError(t, err)
	c.held()
	assert.Equal(t, hcloud.ServerStatusDeleting, c.getServer(result.Server.ID).Status)
	c = c.restart()
	c.wait(deleted.Action)
	s, _, err := c.Server.GetByID(c.ctx, result.Server.ID)
	require.NoError(t, err)
	assert.Nil(t, s)
	assert.Empty(t, c.runtime.ids())
}

func TestHalfMadeMachineIsMadeAnew(t *testing.T) {
	c := startCloud(t)
	c.hold("create_server")
	result, _, err := c.Server.Create(c.ctx, serverOpts("s"))
	require.NoError(t, err)
	c.held()
	c.stop()
	// The runtime was interrupted after it had made something.
	require.NoError(t, c.runtime.Create(c.ctx, machine.Spec{ID: result.Server.ID, Name: "half"}))
	c = openCloud(t, c.runtime, c.dir)
	c.wait(append(result.NextActions, result.Action)...)
	m, _ := c.runtime.machine(result.Server.ID)
	assert.Equal(t, "s", m.Name)
}

// TestInterruptedAttachmentIsResumed interrupts an attempt at both ends: before the machine was changed, and after.
func TestInterruptedAttachmentIsResumed(t *testing.T) {
	for _, reached := range []bool{false, true} {
		t.Run(fmt.Sprintf("machine reached %t", reached), func(t *testing.T) {
			c := startCloud(t)
			n := c.network("net")
			s := c.server("s")
			c.hold("attach_to_network")
			act, _, err := c.Server.AttachToNetwork(c.ctx, s, hcloud.ServerAttachToNetworkOpts{Network: n})
			require.NoError(t, err)
			c.held()
			c.stop()
			to := machine.Attachment{Network: n.ID, Address: netip.MustParseAddr("10.0.1.1")}
			if reached {
				require.NoError(t, c.runtime.Attach(c.ctx, s.ID, to))
			}
			c = openCloud(t, c.runtime, c.dir)
			c.wait(act)
			m, _ := c.runtime.machine(s.ID)
			assert.Equal(t, []machine.Attachment{to}, m.Private)
			assert.Len(t, c.getServer(s.ID).PrivateNet, 1)

			c.hold("detach_from_network")
			act, _, err = c.Server.DetachFromNetwork(c.ctx, s, hcloud.ServerDetachFromNetworkOpts{Network: n})
			require.NoError(t, err)
			c.held()
			c.stop()
			if reached {
				require.NoError(t, c.runtime.Detach(c.ctx, s.ID, n.ID))
			}
			c = openCloud(t, c.runtime, c.dir)
			c.wait(act)
			m, _ = c.runtime.machine(s.ID)
			assert.Empty(t, m.Private)
			assert.Empty(t, c.getServer(s.ID).PrivateNet)
		})
	}
}

// TestHalfMadeNetworkIsRemoved starts from a state that was saved while the runtime made a network.
func TestHalfMadeNetworkIsRemoved(t *testing.T) {
	c := startCloud(t)
	n := c.network("net")
	c.server("s", func(o *hcloud.ServerCreateOpts) { o.Networks = []*hcloud.Network{n} })
	c.stop()
	path := filepath.Join(c.dir, "state.json")
	state, err := os.ReadFile(path)
	require.NoError(t, err)
	changing := strings.Replace(string(state), `"ip_range": "10.0.0.0/16",`, `"ip_range": "10.0.0.0/16", "changing": true,`, 1)
	require.NotEqual(t, string(state), changing)
	require.NoError(t, os.WriteFile(path, []byte(changing), 0o600))
	c = openCloud(t, c.runtime, c.dir)
	assert.Empty(t, c.runtime.networks)
	networks, err := c.Network.All(c.ctx)
	require.NoError(t, err)
	assert.Empty(t, networks)
	servers, err := c.Server.All(c.ctx)
	require.NoError(t, err)
	assert.Empty(t, servers[0].PrivateNet)
}
