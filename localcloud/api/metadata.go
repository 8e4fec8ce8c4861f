package api

import (
	"net/netip"

	"hashistack/localcloud/metadata"
)

// zones are the availability zones that servers are told, by location. The API has stopped to show them.
var zones = map[string]string{
	"fsn1": "fsn1-dc14", "nbg1": "nbg1-dc3", "hel1": "hel1-dc2", "ash": "ash-dc1", "hil": "hil-dc1", "sin": "sin-dc1",
}

// Instance returns what the metadata service tells a server about itself.
func (a *API) Instance(id int64) (metadata.Instance, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, found := a.state.Servers.Get(id)
	if !found {
		return metadata.Instance{}, false
	}
	spec := a.spec(s)
	location, _ := locations.table.Get(s.Location)
	return metadata.Instance{
		ID: s.ID, Hostname: s.Name, PublicIPv4: spec.Public, AvailabilityZone: zones[location.Name], Region: location.item.NetworkZone,
		PublicKeys: s.SSHKeys, UserData: spec.UserData, PrivateNetworks: a.privateNetworks(s),
	}, true
}

func (a *API) privateNetworks(s *server) []metadata.PrivateNetwork {
	var all []metadata.PrivateNetwork
	for _, at := range s.Networks {
		n, found := a.state.Networks.Get(at.Network)
		if !at.Ready || !found {
			continue
		}
		p := metadata.PrivateNetwork{
			IP: at.IP, AliasIPs: []netip.Addr{}, InterfaceNum: len(all) + 1, MACAddress: macAddress(s.ID, n.ID), NetworkID: n.ID,
			NetworkName: n.Name, Network: n.IPRange, Gateway: n.gateway(),
		}
		for _, sub := range n.Subnets {
			if sub.IPRange.Contains(at.IP) {
				p.Subnet = sub.IPRange
			}
		}
		all = append(all, p)
	}
	return all
}
