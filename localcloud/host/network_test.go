package host

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const hostsRoutes = `[
{"dst":"default","gateway":"192.0.2.1","dev":"eth0","flags":[]},
{"dst":"0.0.0.0/1","gateway":"172.30.0.1","dev":"tun0","flags":[]},
{"dst":"10.8.0.0/24","dev":"tun0","protocol":"kernel","scope":"link","prefsrc":"10.8.0.2","flags":[]},
{"type":"unreachable","dst":"10.9.0.0/16","flags":[]},
{"dst":"192.168.7.9","gateway":"192.0.2.7","dev":"eth0","flags":[]},
{"dst":"198.18.0.0/16","dev":"hz5c4e-public","flags":["linkdown"]},
{"type":"blackhole","dst":"10.213.0.0/16","metric":4294967294,"flags":[]},
{"type":"local","dst":"192.0.2.2","dev":"eth0","table":"local","flags":[]},
{"type":"broadcast","dst":"192.0.2.255","dev":"eth0","table":"local","flags":[]}
]`

func TestFree(t *testing.T) {
	uses, err := routes([]byte(hostsRoutes), "hz5c4e-")
	require.NoError(t, err)
	uses = append(uses, nameServers("# made by hand\nnameserver 10.0.0.2 # the LAN's\nnameserver ::1\nsearch example\n", "/etc/resolv.conf")...)
	for ipRange, want := range map[string]string{
		"10.8.0.0/16":    "(route 10.8.0.0/24 dev tun0)",
		"10.9.7.0/24":    "(route unreachable 10.9.0.0/16)",
		"192.168.0.0/16": "(route 192.168.7.9 via 192.0.2.7 dev eth0)",
		"192.0.2.0/24":   "(address 192.0.2.2 dev eth0)",
		"10.0.0.0/16":    "(name server 10.0.0.2 of /etc/resolv.conf)",
		"10.8.0.0/15":    "(route 10.8.0.0/24 dev tun0, route unreachable 10.9.0.0/16)",
		"198.18.0.0/16":  "", // our own bridge
		"10.213.0.0/16":  "", // our own route of last resort
		"172.16.0.0/12":  "", // a default route in two halves is a default route
	} {
		err := Free(netip.MustParsePrefix(ipRange), uses)
		if want == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, ipRange+" overlaps with what this host uses "+want)
	}
	_, err = routes([]byte(`[{"dst":"throw"}]`), "hz5c4e-")
	require.ErrorContains(t, err, "throw")
}

func TestUsesOfThisHost(t *testing.T) {
	uses, err := Uses(t.Context(), "no such cloud")
	require.NoError(t, err)
	assert.ErrorContains(t, Free(netip.MustParsePrefix("127.0.0.0/24"), uses), "dev lo")
}
