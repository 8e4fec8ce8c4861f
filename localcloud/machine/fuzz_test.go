package machine

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// scriptLine is what a line of a machine's script may be.
var scriptLine = regexp.MustCompile(`^(add|flush) (chain|rule|element) ip localcloud_x [a-z0-9_]+( ip saddr [0-9./]+)?` +
	`( meta l4proto (tcp|udp|icmp|esp|gre)| (tcp|udp) dport [0-9]+(-[0-9]+)?)?( accept| drop| \{ 198\.18\.0\.9 : jump server_7 \})?$`)

// FuzzFirewallRule makes nft's script of any rule. It is refused, or each line of the script is what a rule can be.
func FuzzFirewallRule(f *testing.F) {
	for _, rule := range [][3]string{
		{"tcp", "80", "0.0.0.0/0"}, {"udp", "80-90", "10.0.0.0/8"}, {"tcp", "", "::/0"}, {"icmp", "", "1.2.3.4/32"}, {"esp", "80", "1.2.3.4/0"},
		{"tcp", "80\n", "0.0.0.0/0"}, {"tcp accept\nadd rule", "", "0.0.0.0/0"}, {"tcp", "any", "0.0.0.0/0"}, {"gre", "{ 1 }", "::ffff:1.2.3.4/128"},
	} {
		f.Add(rule[0], rule[1], rule[2])
	}
	f.Fuzz(func(t *testing.T, protocol, ports, source string) {
		prefix, err := netip.ParsePrefix(source)
		if err != nil {
			return
		}
		script, err := newFirewall("x").setScript(7, netip.MustParseAddr("198.18.0.9"), true, []Rule{{Protocol: protocol, Ports: ports, Sources: []netip.Prefix{prefix}}})
		if err != nil {
			return
		}
		for line := range strings.SplitSeq(strings.TrimSuffix(script, "\n"), "\n") {
			require.Regexp(t, scriptLine, line)
		}
	})
}

// FuzzUserData reads user-data as cloud-init would: what is no base64 or no gzip stays as it is.
func FuzzUserData(f *testing.F) {
	for _, text := range []string{"", "#cloud-config\n", "I2Nsb3VkLWNvbmZpZwo=", "H4sIAAAAAAAA/w==", "H4sI", "not base64!", "\x1f\x8b"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.HasPrefix(text, "#cloud-config") {
			assert.Equal(t, text, decoded(text))
			return
		}
		decoded(text)
	})
}
