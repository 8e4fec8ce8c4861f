package api_test

import (
	"net/netip"
	"testing"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/localcloud/fault"
	"hashistack/localcloud/metadata"
)

func TestInstance(t *testing.T) {
	c := startCloud(t)
	n := c.network("net")
	key, _, err := c.SSHKey.Create(c.ctx, hcloud.SSHKeyCreateOpts{Name: "me", PublicKey: testKey})
	require.NoError(t, err)
	s := c.server("web", func(o *hcloud.ServerCreateOpts) {
		o.Location = &hcloud.Location{Name: "hel1"}
		o.UserData, o.Networks, o.SSHKeys = "H4sIAAAAAAAAA+3BMQ==", []*hcloud.Network{n}, []*hcloud.SSHKey{key}
	})
	other := c.server("other")

	got, found := c.api.Instance(s.ID)
	require.True(t, found)
	assert.Equal(t, metadata.Instance{
		ID: s.ID, Hostname: "web", PublicIPv4: netip.MustParseAddr(s.PublicNet.IPv4.IP.String()), AvailabilityZone: "hel1-dc2",
		Region: "eu-central", PublicKeys: []string{key.PublicKey}, UserData: "H4sIAAAAAAAAA+3BMQ==",
		PrivateNetworks: []metadata.PrivateNetwork{{
			IP: netip.MustParseAddr(s.PrivateNet[0].IP.String()), AliasIPs: []netip.Addr{}, InterfaceNum: 1,
			MACAddress: s.PrivateNet[0].MACAddress, NetworkID: n.ID, NetworkName: "net", Network: netip.MustParsePrefix("10.0.0.0/16"),
			Subnet: netip.MustParsePrefix("10.0.1.0/24"), Gateway: netip.MustParseAddr("10.0.0.1"),
		}},
	}, got)

	got, found = c.api.Instance(other.ID)
	require.True(t, found)
	assert.Equal(t, "other", got.Hostname)
	assert.Empty(t, got.UserData)
	assert.Empty(t, got.PrivateNetworks)

	deleted, _, err := c.Server.DeleteWithResult(c.ctx, s)
	require.NoError(t, err)
	c.wait(deleted.Action)
	_, found = c.api.Instance(s.ID)
	assert.False(t, found)
}

// A server whose boot is to hang gets user-data that never ends, whichever way it gets it.
func TestInstanceThatHangs(t *testing.T) {
	c := startCloud(t)
	_, err := c.faults.Add(fault.Fault{Kind: fault.BootHangs, Server: "web", Times: 1})
	require.NoError(t, err)
	s := c.server("web", func(o *hcloud.ServerCreateOpts) { o.UserData = "#cloud-config\n" })
	got, found := c.api.Instance(s.ID)
	require.True(t, found)
	assert.Contains(t, got.UserData, "sleep, infinity")
}
