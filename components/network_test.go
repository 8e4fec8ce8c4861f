package components

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestNetwork(t *testing.T) {
	p := newPlatform(t)
	network := p.One(t, "hcloud:index/network:Network", "test")
	assertInputs(t, network, want{"name": "test", "ipRange": "10.0.0.0/16", "labels.stack": "test"})

	subnets := map[string]string{"server": "10.0.1.0/24", "client": "10.0.2.0/24"}
	assert.Len(t, p.All("hcloud:index/networkSubnet:NetworkSubnet"), len(subnets))
	for pool, addresses := range subnets {
		assertInputs(t, p.One(t, "hcloud:index/networkSubnet:NetworkSubnet", pool), want{
			"networkId":   number(t, network),
			"type":        "cloud",
			"networkZone": "eu-central", // of the location, as Hetzner says
			"ipRange":     addresses,
		})
	}
}
