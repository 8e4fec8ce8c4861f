package vaultpath

// Names that certificates carry, the common name first. The roles of the certificate authorities must allow exactly
// these, as bare domains, and machines ask for exactly these. Those of servers carry IP addresses as well: 127.0.0.1 and
// the machine's own. Clients' do not, so their agents are addressed as localhost.

// VaultName is the name of the Vault cluster: in every machine's /etc/hosts and in Vault's certificates.
const VaultName = "vault.hashistack.internal"

// NomadName is the name of the Nomad servers: in every machine's /etc/hosts and in the servers' certificates. Vault and
// Consul fetch the keys of workload identities by it, so that no login depends on Consul's DNS.
const NomadName = "nomad.hashistack.internal"

const localhost = "localhost"

// VaultNames are the names of a Vault server.
func VaultNames() []string {
	return []string{VaultName, "vault.service.consul", localhost}
}

// ConsulServerNames are the names of a Consul server. Agents accept as a server only what carries the first one.
func ConsulServerNames(datacenter string) []string {
	return []string{"server." + datacenter + ".consul", "consul.service.consul", localhost}
}

// ConsulClientNames are the names of a Consul agent that is no server.
func ConsulClientNames(datacenter string) []string {
	return []string{"client." + datacenter + ".consul", localhost}
}

// NomadServerNames are the names of a Nomad server, whether it is a client besides or not. Agents accept as a server
// only what carries the first one.
func NomadServerNames(region string) []string {
	return []string{"server." + region + ".nomad", "client." + region + ".nomad", "nomad.service.consul", NomadName, localhost}
}

// NomadClientNames are the names of a Nomad client that is no server.
func NomadClientNames(region string) []string {
	return []string{"client." + region + ".nomad", localhost}
}
