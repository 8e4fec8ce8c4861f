// Package machine says what a machine is made of: given the cluster that it belongs to and its parts, the user-data that
// turns an empty Debian 12 server into it. The parts are in parts/, a folder each; part.go says what a part is.
//
// Nothing that user-data starts is ordered from outside. Every service waits for its own inputs (a file that
// consul-template writes, a peer that answers) and starts by itself when they are there. So all machines of a cluster can
// boot at the same moment, and each gets as far as its neighbours allow.
package machine

import (
	"net/netip"
	"slices"
)

// Peer is a machine of the cluster, by its name and private address.
type Peer struct {
	Name    string
	Address netip.Addr
}

// Cluster is what all machines of a stack have in common.
type Cluster struct {
	Datacenter string // Consul's and Nomad's datacenter, for example "fsn1"
	Region     string // Nomad's region, for example "global"
	CA         string // root CA certificate, PEM

	// Servers are all machines with each quorum role, whichever machine is rendered.
	Servers map[Role][]Peer

	Packages Packages
	Seal     *Seal // nil: Shamir's key shares

	// Network is the private network of all machines. Tasks reach little of it.
	Network netip.Prefix

	// BridgeNetwork is where Nomad gives addresses to allocations with a network of their own. The zero prefix means
	// 172.26.64.0/20, Nomad's own default.
	BridgeNetwork netip.Prefix

	// Resolvers answer names outside the platform where the machine's interfaces bring no resolver of their own. Nil
	// means Hetzner's recursive name servers.
	Resolvers []netip.Addr
}

// Packages says where the products' Debian packages come from and which versions.
type Packages struct {
	Repository string // URL of the apt repository; empty: https://apt.releases.hashicorp.com
	Key        string // ASCII-armoured OpenPGP key that signs it; empty: HashiCorp's
	// Debian versions, for example "1.22.3-1".
	Consul, Nomad, Vault, ConsulTemplate string
}

// Seal is a key management service that unseals Vault in place of key shares.
type Seal struct {
	Type       string            // one of SealTypes
	Parameters map[string]string // the seal stanza's parameters, named as in Vault's documentation
}

// SealTypes are the key management services that can unseal Vault, by the name of Vault's seal stanza.
func SealTypes() []string { return []string{"transit", "awskms", "gcpckms", "azurekeyvault"} }

// Machine is what one machine has of its own.
type Machine struct {
	Name     string
	Pool     string
	Roles    []Role
	NodePool string            // Nomad node pool; empty: "default"
	Meta     map[string]string // Nomad client metadata

	Private netip.Addr // address in the private network: all traffic between machines
	Public  netip.Addr // zero: the machine has none

	// BootstrapCertificate (with its chain, if any) and BootstrapKey, PEM, are what the machine presents until Vault's own
	// certificate authority has issued a certificate. Machines whose parts have a FirstCertificate need them.
	BootstrapCertificate, BootstrapKey string

	// RoleID and SecretID are the machine's way into Vault.
	RoleID, SecretID string
}

// Has tells whether the machine has a role. Only parts ask.
func (m Machine) Has(role Role) bool { return slices.Contains(m.Roles, role) }

// InOrder puts the machine itself first, if it is one of the peers. Elsewhere the list starts at a place that differs from
// machine to machine, so that one peer that hangs does not hold up all machines.
func (m Machine) InOrder(peers []Peer) []Peer {
	if len(peers) == 0 {
		return nil
	}
	first := slices.Index(peers, Peer{m.Name, m.Private})
	if first < 0 {
		address := m.Private.As4()
		first = int(address[3]) % len(peers)
	}
	return slices.Concat(peers[first:], peers[:first])
}

// Join are the addresses of the peers to join: all but the machine's own, because an agent that could join itself would be
// content with that. An agent without peers joins itself: without a join Consul never tells systemd that it is ready.
func (m Machine) Join(peers []Peer) []string {
	var others []string
	for _, peer := range peers {
		if peer.Name != m.Name {
			others = append(others, peer.Address.String())
		}
	}
	if others == nil {
		others = []string{m.Private.String()}
	}
	return others
}

// AnyAddress is where APIs listen that operators reach. The cloud's firewall decides who gets there.
const AnyAddress = "0.0.0.0"
