package names

// The names that certificates carry, the common name first. The roles of the certificate authorities allow exactly these,
// as bare domains, and machines ask for exactly these. Servers' certificates carry IP addresses as well: 127.0.0.1 and the
// machine's own. Clients' certificates carry none, so a client's agent is addressed as localhost.

// VaultName is the name of the Vault cluster: in every machine's /etc/hosts and in Vault's certificates.
const VaultName = "vault.hashistack.internal"

// NomadName is the name of the Nomad servers: in every machine's /etc/hosts and in the servers' certificates. Vault and
// Consul fetch the keys of workload identities from it, so that no login depends on Consul's DNS.
const NomadName = "nomad.hashistack.internal"

// Localhost is in the certificate of every agent: what runs on the machine talks to it by this name.
const Localhost = "localhost"

// VaultNames are the names of a Vault server.
func VaultNames() []string {
	return []string{VaultName, "vault.service.consul", Localhost}
}

// ConsulServerNames are the names of a Consul server. Agents accept as a server only what carries the first one.
func ConsulServerNames(datacenter string) []string {
	return []string{"server." + datacenter + ".consul", "consul.service.consul", Localhost}
}

// ConsulClientNames are the names of a Consul agent that is no server.
func ConsulClientNames(datacenter string) []string {
	return []string{"client." + datacenter + ".consul", Localhost}
}

// NomadServerNames are the names of a Nomad server, whether or not it is a client as well. Agents accept as a server only
// what carries the first one.
func NomadServerNames(region string) []string {
	return []string{"server." + region + ".nomad", "client." + region + ".nomad", "nomad.service.consul", NomadName, Localhost}
}

// NomadClientNames are the names of a Nomad client that is no server.
func NomadClientNames(region string) []string {
	return []string{"client." + region + ".nomad", Localhost}
}
