//go:build docker

package machine_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/localcloud/machine"
)

// allow lets everybody in at one port.
func allow(port string) []machine.Rule {
	return []machine.Rule{{Protocol: "tcp", Ports: port, Sources: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}}}
}

// serving waits until machine 1 has booted and listens on both of serveUserData's ports, whatever its firewall lets
// through.
func (c *cloud) serving() {
	c.t.Helper()
	c.booted(1)
	for _, port := range []string{"80", "81"} {
		c.eventually(time.Minute, func() error { _, err := c.try(1, "nc -z 127.0.0.1 "+port); return err })
	}
}

// readdressed gives machine 1 another public address while it is off, and boots it.
func (c *cloud) readdressed(address netip.Addr) {
	c.t.Helper()
	ctx := c.t.Context()
	require.NoError(c.t, c.PowerOff(ctx, 1))
	require.NoError(c.t, c.SetPublic(ctx, 1, address))
	require.NoError(c.t, c.SetPublic(ctx, 1, address), "twice is no error")
	require.NoError(c.t, c.PowerOn(ctx, 1))
	c.serving()
}

// rebooted reboots machine 1 from within.
func (c *cloud) rebooted() {
	c.t.Helper()
	c.run("touch /run/before")
	_, _ = c.try(1, "reboot")
	c.eventually(time.Minute, func() error { _, err := c.try(1, "test ! -e /run/before"); return err })
	c.serving()
}

// interfaces returns the addresses of machine 1, by interface.
func (c *cloud) interfaces() map[string]string {
	c.t.Helper()
	all := map[string]string{}
	for _, name := range []string{"eth0", "eth1"} {
		// Nothing for an interface that is not there.
		all[name] = c.run("ip -brief -4 address show " + name + " 2>/dev/null | awk '{print $3}'")
	}
	return all
}

// TestSetPublic takes a machine's public address away, gives it others, and checks at which addresses it can be
// reached.
func TestSetPublic(t *testing.T) {
	c := newCloud(t)
	ctx := t.Context()
	s := spec(1, serveUserData)
	first, second := s.Public, netip.MustParseAddr("198.19.0.77")
	s.Firewalled, s.Rules = true, allow("80")
	require.ErrorIs(t, c.SetPublic(ctx, 1, second), machine.ErrNotFound)
	c.create(s)
	c.serving()
	at := func(address netip.Addr, port int) string { return fmt.Sprintf("%s:%d", address, port) }
	require.NoError(t, dial(at(first, 80)))

	c.part(t, "refused while it runs", func(t *testing.T) {
		require.ErrorContains(t, c.SetPublic(ctx, 1, second), "want it off, got it running")
		require.ErrorContains(t, c.SetPublic(ctx, 1, netip.Addr{}), "want it off, got it running")
		require.NoError(t, dial(at(first, 80)))
	})
	c.part(t, "taken away", func(t *testing.T) {
		c.readdressed(netip.Addr{})
		check := func() {
			assert.Equal(t, map[string]string{"eth0": "10.213.1.11/16", "eth1": ""}, c.interfaces())
			require.Error(t, dial(at(first, 80)))
			require.NoError(t, c.SetFirewall(ctx, 1, true, allow("80")), "nothing to filter")
		}
		check()
		c.rebooted()
		check()
		rules, err := exec.Command("nft", "list", "table", "ip", "localcloud_localcloud_test").Output()
		require.NoError(t, err)
		assert.NotContains(t, string(rules), "server_1", "the firewall has forgotten it")
	})
	c.part(t, "another one", func(t *testing.T) {
		c.readdressed(second)
		require.Error(t, dial(at(second, 80)), "closed before the rules are set")
		require.NoError(t, c.SetFirewall(ctx, 1, true, allow("80")))
		check := func() {
			assert.Equal(t, map[string]string{"eth0": "198.19.0.77/16", "eth1": "10.213.1.11/16"}, c.interfaces())
			assert.Contains(t, c.run("ip route show default"), "via 198.19.0.1 dev eth0")
			require.NoError(t, dial(at(second, 80)))
			require.Error(t, dial(at(second, 81)), "not in the rules")
			require.Error(t, dial(at(first, 80)), "no longer its address")
		}
		check()
		c.rebooted()
		check()
		assert.Empty(t, c.run("grep -rs 198.19.0.11 /etc /run/cloud-init || true"), "nobody on the machine knows the old address")
	})
	c.part(t, "after a restart of the local cloud", func(t *testing.T) {
		c.end()
		var err error
		c.Docker, err = machine.NewDocker(ctx, c.opts)
		require.NoError(t, err)
		require.NoError(t, c.SetFirewall(ctx, 1, true, allow("81")))
		require.NoError(t, dial(at(second, 81)))
		require.Error(t, dial(at(second, 80)), "the new rules hold at the new address")
		require.NoError(t, c.Reset(ctx, 1))
		c.serving()
		require.NoError(t, dial(at(second, 81)))
	})
	c.part(t, "from one to another", func(t *testing.T) {
		c.readdressed(first)
		require.NoError(t, c.SetFirewall(ctx, 1, true, allow("80")))
		require.NoError(t, dial(at(first, 80)))
		require.Error(t, dial(at(second, 80)))
	})
	c.part(t, "the address left behind is another machine's, with its own firewall", func(t *testing.T) {
		next := spec(2, serveUserData)
		next.Public = second
		c.create(next)
		c.booted(2)
		c.eventually(10*time.Second, func() error { return dial(at(second, 81)) })
		require.Error(t, dial(at(first, 81)))
		require.NoError(t, c.Delete(ctx, 1))
		require.NoError(t, dial(at(second, 81)))
	})
}

// TestJoinLater makes a machine without any network and puts it into some while it is off, as the Terraform provider does
// with servers that have no public address.
func TestJoinLater(t *testing.T) {
	c := newCloud(t)
	ctx := t.Context()
	s := spec(1, serveUserData)
	address, private := s.Public, s.Private[0]
	s.Public, s.Private = netip.Addr{}, nil
	require.NoError(t, c.Create(ctx, s))
	require.NoError(t, c.Attach(ctx, 1, private))
	require.NoError(t, c.PowerOn(ctx, 1))
	c.serving()
	assert.Equal(t, map[string]string{"eth0": "10.213.1.11/16", "eth1": ""}, c.interfaces())

	c.readdressed(address)
	require.NoError(t, c.SetFirewall(ctx, 1, false, nil))
	assert.Equal(t, map[string]string{"eth0": "198.19.0.11/16", "eth1": "10.213.1.11/16"}, c.interfaces())
	require.NoError(t, dial("198.19.0.11:81"))

	require.NoError(t, c.Detach(ctx, 1, networkID))
	require.NoError(t, c.PowerOff(ctx, 1))
	require.NoError(t, c.SetPublic(ctx, 1, netip.Addr{}))
	require.NoError(t, c.PowerOn(ctx, 1))
	c.eventually(time.Minute, func() error {
		out, err := c.try(1, "ip -brief -4 address")
		if err == nil && out != "lo               UNKNOWN        127.0.0.1/8" {
			err = errors.New("want the loopback interface alone, got " + out)
		}
		return err
	})
}
