package machine

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
}

func prefixes(all ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range all {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

func TestFirewallScript(t *testing.T) {
	address := netip.MustParseAddr("198.18.0.5")
	tests := map[string]struct {
		firewalled bool
		rules      []Rule
	}{
		"open":   {firewalled: false},
		"closed": {firewalled: true},
		"rules": {firewalled: true, rules: []Rule{
			{Protocol: "tcp", Ports: "80", Sources: prefixes("0.0.0.0/0", "::/0")},
			{Protocol: "udp", Ports: "80-90", Sources: prefixes("198.18.0.0/24", "198.18.0.7/32")},
			{Protocol: "tcp", Sources: prefixes("198.18.0.1/32")},
			{Protocol: "icmp", Sources: prefixes("0.0.0.0/0")},
			{Protocol: "esp", Sources: prefixes("2001:db8::/32")},
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			script, err := newFirewall("my-cloud").setScript(12, address, test.firewalled, test.rules)
			require.NoError(t, err)
			golden(t, "firewall_"+name+".nft", script)
		})
	}
}

func TestFirewallScriptRefuses(t *testing.T) {
	for _, test := range []struct {
		rule Rule
		want string
	}{
		{Rule{Protocol: "sctp"}, `protocol "sctp": want tcp, udp, icmp, esp or gre`},
		{Rule{Protocol: "tcp", Ports: "80; flush ruleset"}, `ports "80; flush ruleset": want one port or a range`},
	} {
		_, err := newFirewall("c").setScript(1, netip.MustParseAddr("198.18.0.5"), true, []Rule{test.rule})
		require.ErrorContains(t, err, test.want)
	}
}

func TestBridgeNames(t *testing.T) {
	f := newFirewall("my-cloud")
	name, err := f.privateBridge(4711)
	require.NoError(t, err)
	assert.LessOrEqual(t, len(name), 15)
	assert.LessOrEqual(t, len(f.publicBridge()), 15)
	assert.NotEqual(t, f.publicBridge(), newFirewall("other-cloud").publicBridge(), "clouds share an engine")

	_, err = f.privateBridge(1 << 62)
	require.ErrorContains(t, err, "network ID 4611686018427387904: too large")
}

func TestMirrorPort(t *testing.T) {
	opts := Options{PublicRange: netip.MustParsePrefix("198.18.0.0/16"), Mirror: "http://198.18.0.1:8582"}
	port, err := mirrorPort(opts)
	require.NoError(t, err)
	assert.EqualValues(t, 8582, port)
	for _, wrong := range []string{"http://127.0.0.1:8582", "http://198.18.0.1", "://"} {
		opts.Mirror = wrong
		_, err := mirrorPort(opts)
		require.Error(t, err, wrong)
	}
}
