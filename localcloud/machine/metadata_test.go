package machine

import (
	"net/netip"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/localcloud/metadata"
)

func TestCaller(t *testing.T) {
	attached := func(id, name, address, mac string) container.Summary {
		return container.Summary{
			Labels: map[string]string{labelID: id},
			NetworkSettings: &container.NetworkSettingsSummary{Networks: map[string]*network.EndpointSettings{
				name: {IPAddress: address, MacAddress: mac},
			}},
		}
	}
	const (
		one   = "02:42:c6:12:00:05"
		two   = "02:42:c6:12:00:06"
		three = "02:42:0a:00:01:07"
	)
	machines := []container.Summary{
		{},
		attached("1", "cloud-a-public", "198.18.0.5", one), attached("2", "cloud-a-public", "198.18.0.6", two),
		attached("3", "cloud-b-7", "10.0.1.7", three),
		attached("4", "cloud-a-public", "", ""), // off
	}
	tests := map[string]struct {
		from, mac string
		want      int64 // none if 0
	}{
		"by its address":                             {"198.18.0.5", one, 1},
		"by its link-local address":                  {"fe80::42:c6ff:fe12:5", one, 1},
		"by a link-local address that it has chosen": {"fe80::1", two, 2},
		"with another machine's address":             {"198.18.0.5", two, 0},
		"with an address that is no machine's":       {"198.18.0.7", one, 0},
		"from a private network":                     {"10.0.1.7", three, 0},
		"from nowhere on the public network":         {"172.17.0.2", "", 0},
		"without a MAC address":                      {"fe80::1", "", 0},
		"with a MAC address that is no machine's":    {"fe80::1", "02:42:c6:12:00:07", 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			caller, err := callerAmong(machines, "cloud-a-public", netip.MustParseAddr(test.from), test.mac)
			if test.want == 0 {
				require.ErrorIs(t, err, metadata.ErrStranger)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, metadata.Caller{ID: test.want, MAC: test.mac}, caller)
		})
	}
}
