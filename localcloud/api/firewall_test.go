package api_test

import (
	"fmt"
	"net"
	"slices"
	"testing"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ports returns the ports that the machine's cloud firewall lets through; nil when it has no firewall.
func (c *cloud) ports(s *hcloud.Server) []string {
	c.t.Helper()
	m, found := c.runtime.machine(s.ID)
	require.True(c.t, found)
	if !m.Firewalled {
		return nil
	}
	ports := []string{}
	for _, r := range m.Rules {
		ports = append(ports, r.Ports)
	}
	slices.Sort(ports)
	return ports
}

func (c *cloud) firewall(name string, rules []hcloud.FirewallRule, to ...hcloud.FirewallResource) *hcloud.Firewall {
	c.t.Helper()
	result, _, err := c.Firewall.Create(c.ctx, hcloud.FirewallCreateOpts{Name: name, Rules: rules, ApplyTo: to})
	require.NoError(c.t, err)
	c.wait(result.Actions...)
	return result.Firewall
}

func TestFirewallOnServers(t *testing.T) {
	c := startCloud(t)
	one, two := c.server("one"), c.server("two")
	web := c.firewall("web", []hcloud.FirewallRule{tcpRule("80"), tcpRule("443")}, onServer(one))
	assert.Equal(t, []string{"443", "80"}, c.ports(one))
	assert.Nil(t, c.ports(two))

	ssh := c.firewall("ssh", []hcloud.FirewallRule{tcpRule("22")})
	acts, _, err := c.Firewall.ApplyResources(c.ctx, ssh, []hcloud.FirewallResource{onServer(one), onServer(two)})
	require.NoError(t, err)
	require.Len(t, acts, 2)
	c.wait(acts...)
	assert.Equal(t, []string{"22", "443", "80"}, c.ports(one), "rules of several firewalls add up")
	assert.Equal(t, []string{"22"}, c.ports(two))
	assert.Len(t, c.getServer(one.ID).PublicNet.Firewalls, 2)

	acts, _, err = c.Firewall.SetRules(c.ctx, web, hcloud.FirewallSetRulesOpts{Rules: []hcloud.FirewallRule{tcpRule("8000-8100"), tcpRule("any")}})
	require.NoError(t, err)
	require.Len(t, acts, 2)
	assert.Equal(t, "set_firewall_rules", acts[0].Command)
	assert.Equal(t, "apply_firewall", acts[1].Command)
	c.wait(acts...)
	assert.Equal(t, []string{"", "22", "8000-8100"}, c.ports(one))

	_, err = c.Firewall.Delete(c.ctx, web)
	requireCode(t, err, hcloud.ErrorCodeResourceInUse, "still in use")
	acts, _, err = c.Firewall.RemoveResources(c.ctx, web, []hcloud.FirewallResource{onServer(one)})
	require.NoError(t, err)
	c.wait(acts...)
	assert.Equal(t, []string{"22"}, c.ports(one))
	acts, _, err = c.Firewall.RemoveResources(c.ctx, web, []hcloud.FirewallResource{onServer(one)})
	require.NoError(t, err, "removing twice is no error since 2025-08-04")
	assert.Empty(t, acts)
	_, err = c.Firewall.Delete(c.ctx, web)
	require.NoError(t, err)

	c.deleteServer(one)
	ssh, _, err = c.Firewall.GetByID(c.ctx, ssh.ID)
	require.NoError(t, err)
	assert.Len(t, ssh.AppliedTo, 1, "a deleted server takes its place with it")
	acts, _, err = c.Firewall.SetRules(c.ctx, ssh, hcloud.FirewallSetRulesOpts{})
	require.NoError(t, err)
	c.wait(acts...)
	assert.Equal(t, []string{}, c.ports(two), "no rules is not the same as no firewall")
}

func TestFirewallByLabel(t *testing.T) {
	c := startCloud(t)
	labelled := c.server("labelled", func(o *hcloud.ServerCreateOpts) { o.Labels = map[string]string{"role": "web"} })
	other := c.server("other")
	web := c.firewall("web", []hcloud.FirewallRule{tcpRule("80")}, selecting("role=web"))
	assert.Equal(t, []string{"80"}, c.ports(labelled))
	assert.Nil(t, c.ports(other))
	web, _, err := c.Firewall.GetByID(c.ctx, web.ID)
	require.NoError(t, err)
	require.Len(t, web.AppliedTo, 1)
	assert.Equal(t, "role=web", web.AppliedTo[0].LabelSelector.Selector)
	require.Len(t, web.AppliedTo[0].AppliedToResources, 1)
	assert.Equal(t, labelled.ID, web.AppliedTo[0].AppliedToResources[0].Server.ID)

	born := c.server("born", func(o *hcloud.ServerCreateOpts) { o.Labels = map[string]string{"role": "web"} })
	assert.Equal(t, []string{"80"}, c.ports(born), "a new server is protected before it starts")

	_, _, err = c.Firewall.RemoveResources(c.ctx, web, []hcloud.FirewallResource{onServer(born)})
	requireCode(t, err, hcloud.ErrorCodeFirewallManagedByLabelSelector, "born")

	c.relabel(other, map[string]string{"role": "web"})
	assert.Equal(t, []string{"80"}, c.ports(other))
	c.relabel(other, map[string]string{})
	assert.Nil(t, c.ports(other))

	acts, _, err := c.Firewall.RemoveResources(c.ctx, web, []hcloud.FirewallResource{selecting("role=web")})
	require.NoError(t, err)
	assert.Len(t, acts, 2)
	c.wait(acts...)
	assert.Nil(t, c.ports(labelled))
	_, err = c.Firewall.Delete(c.ctx, web)
	require.NoError(t, err)
}

// relabel sets a server's labels and waits for what follows from it.
func (c *cloud) relabel(s *hcloud.Server, labels map[string]string) {
	c.t.Helper()
	_, _, err := c.Server.Update(c.ctx, s, hcloud.ServerUpdateOpts{Labels: labels})
	require.NoError(c.t, err)
	acts, err := c.Server.Action.AllFor(c.ctx, s, hcloud.ActionListOpts{Status: []hcloud.ActionStatus{hcloud.ActionStatusRunning}})
	require.NoError(c.t, err)
	c.wait(acts...)
}

func TestFirewallIsPendingUntilTheMachineHasIt(t *testing.T) {
	c := startCloud(t)
	s := c.server("s")
	f := c.firewall("f", nil)
	release := c.hold("apply_firewall")
	acts, _, err := c.Firewall.ApplyResources(c.ctx, f, []hcloud.FirewallResource{onServer(s)})
	require.NoError(t, err)
	c.held()
	s = c.getServer(s.ID)
	assert.Equal(t, hcloud.FirewallStatusPending, s.PublicNet.Firewalls[0].Status)
	assert.False(t, s.Locked, "firewalls do not lock servers")
	release()
	c.wait(acts...)
	assert.Equal(t, hcloud.FirewallStatusApplied, c.getServer(s.ID).PublicNet.Firewalls[0].Status)
}

func TestFirewallRules(t *testing.T) {
	c := startCloud(t)
	source := []net.IPNet{*prefix(t, "10.0.0.0/8")}
	port := hcloud.Ptr[string]
	tests := map[string]struct {
		rule  hcloud.FirewallRule
		code  hcloud.ErrorCode
		words string
	}{
		"icmp":             {hcloud.FirewallRule{Direction: "in", Protocol: "icmp", SourceIPs: source}, "", ""},
		"gre":              {hcloud.FirewallRule{Direction: "in", Protocol: "gre", SourceIPs: source}, "", ""},
		"range":            {hcloud.FirewallRule{Direction: "in", Protocol: "udp", SourceIPs: source, Port: port("1-65535")}, "", ""},
		"IPv6 source":      {hcloud.FirewallRule{Direction: "in", Protocol: "tcp", SourceIPs: []net.IPNet{*prefix(t, "::/0")}, Port: port("1")}, "", ""},
		"direction":        {hcloud.FirewallRule{Direction: "up", Protocol: "tcp", SourceIPs: source, Port: port("1")}, hcloud.ErrorCodeInvalidInput, "direction"},
		"outbound":         {hcloud.FirewallRule{Direction: "out", Protocol: "tcp", DestinationIPs: source, Port: port("1")}, "not_implemented", "direction out"},
		"protocol":         {hcloud.FirewallRule{Direction: "in", Protocol: "sctp", SourceIPs: source}, hcloud.ErrorCodeInvalidInput, "sctp"},
		"no port":          {hcloud.FirewallRule{Direction: "in", Protocol: "tcp", SourceIPs: source}, hcloud.ErrorCodeInvalidInput, "required"},
		"port of icmp":     {hcloud.FirewallRule{Direction: "in", Protocol: "icmp", SourceIPs: source, Port: port("1")}, hcloud.ErrorCodeInvalidInput, "not allowed"},
		"port 0":           {hcloud.FirewallRule{Direction: "in", Protocol: "tcp", SourceIPs: source, Port: port("0")}, hcloud.ErrorCodeInvalidInput, "65535"},
		"port too high":    {hcloud.FirewallRule{Direction: "in", Protocol: "tcp", SourceIPs: source, Port: port("65536")}, hcloud.ErrorCodeInvalidInput, "65535"},
		"range descending": {hcloud.FirewallRule{Direction: "in", Protocol: "tcp", SourceIPs: source, Port: port("90-80")}, hcloud.ErrorCodeInvalidInput, "ascend"},
		"no number":        {hcloud.FirewallRule{Direction: "in", Protocol: "tcp", SourceIPs: source, Port: port("http")}, hcloud.ErrorCodeInvalidInput, "http"},
		"no source":        {hcloud.FirewallRule{Direction: "in", Protocol: "tcp", Port: port("1")}, hcloud.ErrorCodeInvalidInput, "source"},
		"destination":      {hcloud.FirewallRule{Direction: "in", Protocol: "tcp", SourceIPs: source, DestinationIPs: source, Port: port("1")}, hcloud.ErrorCodeInvalidInput, "destination"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			result, _, err := c.Firewall.Create(c.ctx, hcloud.FirewallCreateOpts{Name: name, Rules: []hcloud.FirewallRule{tt.rule}})
			if tt.code != "" {
				requireCode(t, err, tt.code, tt.words)
				return
			}
			require.NoError(t, err)
			f, _, err := c.Firewall.GetByID(c.ctx, result.Firewall.ID)
			require.NoError(t, err)
			require.Len(t, f.Rules, 1)
			assert.Equal(t, tt.rule.SourceIPs, f.Rules[0].SourceIPs)
			assert.Equal(t, tt.rule.Port, f.Rules[0].Port)
		})
	}
	_, _, err := c.Firewall.Create(c.ctx, hcloud.FirewallCreateOpts{Name: "many", Rules: slices.Repeat([]hcloud.FirewallRule{tcpRule("1")}, 51)})
	requireCode(t, err, hcloud.ErrorCodeInvalidInput, "at most 50")
}

func TestFirewallResourcesRefused(t *testing.T) {
	limits := bigLimits
	limits.Firewalls = 6
	c := startCloud(t, withLimits(limits))
	n := c.network("net")
	s := c.server("s")
	private := c.server("private", func(o *hcloud.ServerCreateOpts) {
		o.Networks, o.PublicNet = []*hcloud.Network{n}, &hcloud.ServerCreatePublicNet{}
	})
	f := c.firewall("f", nil, onServer(s), selecting("a=b"))
	tests := map[string]struct {
		to    hcloud.FirewallResource
		code  hcloud.ErrorCode
		words string
	}{
		"server twice":   {onServer(s), hcloud.ErrorCodeFirewallAlreadyApplied, fmt.Sprint(s.ID)},
		"selector twice": {selecting("a=b"), hcloud.ErrorCodeFirewallAlreadyApplied, "a=b"},
		"no such server": {onServer(&hcloud.Server{ID: 1}), hcloud.ErrorCodeFirewallResourceNotFound, "1"},
		"private server": {onServer(private), hcloud.ErrorCodePrivateNetOnlyServer, "private"},
		"bad selector":   {selecting("a,,b"), hcloud.ErrorCodeInvalidInput, "a,,b"},
		"type":           {hcloud.FirewallResource{Type: "volume"}, hcloud.ErrorCodeInvalidInput, "volume"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, _, err := c.Firewall.ApplyResources(c.ctx, f, []hcloud.FirewallResource{tt.to})
			requireCode(t, err, tt.code, tt.words)
		})
	}
	_, _, err := c.Firewall.RemoveResources(c.ctx, f, []hcloud.FirewallResource{onServer(&hcloud.Server{ID: 1})})
	requireCode(t, err, hcloud.ErrorCodeFirewallResourceNotFound)
	for i := range 4 {
		c.firewall(fmt.Sprint("more-", i), nil, onServer(s))
	}
	sixth := c.firewall("sixth", nil)
	_, _, err = c.Firewall.ApplyResources(c.ctx, sixth, []hcloud.FirewallResource{onServer(s)})
	requireCode(t, err, hcloud.ErrorCodeResourceLimitExceeded, "5")
	_, _, err = c.Firewall.Create(c.ctx, hcloud.FirewallCreateOpts{Name: "seventh"})
	requireCode(t, err, hcloud.ErrorCodeResourceLimitExceeded, "firewall_limit")

	updated, _, err := c.Firewall.Update(c.ctx, f, hcloud.FirewallUpdateOpts{Name: "g", Labels: map[string]string{"x": "y"}})
	require.NoError(t, err)
	assert.Equal(t, "g", updated.Name)
	_, _, err = c.Firewall.Update(c.ctx, sixth, hcloud.FirewallUpdateOpts{Name: "g"})
	requireCode(t, err, hcloud.ErrorCodeUniquenessError)
}
