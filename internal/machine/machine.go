// Package machine says what a machine is made of: given the cluster it belongs to and its roles, the user-data that
// turns an empty Debian 12 server into it.
//
// Nothing that user-data starts is ordered from outside. Every service waits for its own inputs (a file that
// consul-template writes, a peer that answers) and starts by itself when they are there, so all machines of a cluster
// can boot at the same moment and each gets as far as its neighbours allow.
package machine

import (
	"net/netip"

	"hashistack/internal/vaultpath"
)

// Names in every machine's /etc/hosts.
const (
	VaultName = vaultpath.VaultName // all Vault servers
	NomadName = vaultpath.NomadName // all Nomad servers
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

	// Vault, ConsulServers and NomadServers are all the machines with that role, whichever machine is rendered.
	Vault, ConsulServers, NomadServers []Peer

	Packages Packages
	Seal     *Seal // nil: Shamir's key shares

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
	Type       string            // "transit", "awskms", "gcpckms" or "azurekeyvault"
	Parameters map[string]string // the seal stanza's parameters, named as in Vault's documentation
}

// Machine is what one machine has of its own.
type Machine struct {
	Name     string
	Pool     string
	Roles    []Role
	NodePool string            // Nomad node pool; empty: "default"
	Meta     map[string]string // Nomad client metadata

	Private netip.Addr // address in the private network: all traffic between machines
	Public  netip.Addr // zero: the machine has none

	// BootstrapCertificate (with its chain, if any) and BootstrapKey, PEM, are what Vault's listener presents until
	// Vault's own certificate authority has issued a certificate. Machines with RoleVault only.
	BootstrapCertificate, BootstrapKey string

	// RoleID and SecretID are the machine's way into Vault.
	RoleID, SecretID string
}
