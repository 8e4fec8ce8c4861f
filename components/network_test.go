package components

import (
	"errors"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/internal/pulumitest"
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

const networksType = "hcloud:index/getNetworks:getNetworks"

func TestNeighbour(t *testing.T) {
	network := func(name string, labels resource.PropertyMap) resource.PropertyValue {
		return resource.NewProperty(resource.PropertyMap{"name": text(name), "labels": resource.NewProperty(labels)})
	}
	other := network("office", resource.PropertyMap{"stack": text("prod")})
	for name, test := range map[string]struct {
		networks []resource.PropertyValue
		want     string
	}{
		"nobody's":      {[]resource.PropertyValue{other}, ""},
		"our own":       {[]resource.PropertyValue{other, network("hashistack", resource.PropertyMap{"stack": text(pulumitest.Stack)})}, ""},
		"a neighbour's": {[]resource.PropertyValue{other, network("hashistack", resource.PropertyMap{"stack": text("prod")})}, "prod"},
		"a stranger's":  {[]resource.PropertyValue{network("hashistack", resource.PropertyMap{})}, "(none: it has no label of ours)"},
	} {
		t.Run(name, func(t *testing.T) {
			cloud := &pulumitest.Recorder{Outputs: map[string]resource.PropertyMap{networksType: {"networks": resource.NewProperty(test.networks)}}}
			cloud.Run(t, func(ctx *pulumi.Context) error {
				found, err := Neighbour(ctx, "hashistack")
				assert.Equal(t, test.want, found)
				return err
			})
		})
	}
	cloud := &pulumitest.Recorder{Refusals: map[string][]error{networksType: {errors.New("unauthorized")}}}
	require.ErrorContains(t, cloud.RunErr(t, func(ctx *pulumi.Context) error {
		_, err := Neighbour(ctx, "hashistack")
		return err
	}), "look up the networks of the Hetzner project: ")
}
