package api

import (
	"net/netip"

	"hashistack/localcloud/store"
)

// state is all that the local cloud remembers: what it saves after every change and loads when it starts.
type state struct {
	// LastID is the newest ID of any resource or action; IDs are never used twice.
	LastID int64 `json:"last_id"`
	// LastIPv4 is the public address given out last.
	LastIPv4 netip.Addr `json:"last_ipv4"`
	// LastIPv6 counts the /64 networks given out.
	LastIPv6 uint32 `json:"last_ipv6"`

	Servers         store.Table[*server]         `json:"servers"`
	Networks        store.Table[*network]        `json:"networks"`
	Firewalls       store.Table[*firewall]       `json:"firewalls"`
	PrimaryIPs      store.Table[*primaryIP]      `json:"primary_ips"`
	PlacementGroups store.Table[*placementGroup] `json:"placement_groups"`
	SSHKeys         store.Table[*sshKey]         `json:"ssh_keys"`
	Actions         store.Table[*action]         `json:"actions"`
}

func (s *state) nextID() int64 {
	s.LastID++
	return s.LastID
}
