package names

import "strconv"

// Ports on which the products listen. All but ConsulDNSPort speak TLS.
const (
	VaultPort     = 8200 // API
	VaultPeerPort = 8201 // between Vault servers
	ConsulPort    = 8501 // API; clients of Consul listen on the loopback address only
	ConsulGRPC    = 8503 // for Envoy, on the loopback address
	ConsulDNSPort = 8600 // on the loopback address
	NomadPort     = 4646 // API
)

// HTTPS is the URL of an API.
func HTTPS(host string, port int) string { return "https://" + Host(host, port) }

// Host is host and port, as agents take addresses.
func Host(host string, port int) string { return host + ":" + strconv.Itoa(port) }

// VaultAddress is Vault for everybody but Vault itself.
func VaultAddress() string { return HTTPS(VaultName, VaultPort) }
