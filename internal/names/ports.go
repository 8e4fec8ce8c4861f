package names

import "strconv"

// Ports on which the products listen. All but ConsulDNSPort speak TLS, or encrypt by themselves.
const (
	VaultPort      = 8200 // API
	VaultPeerPort  = 8201 // between Vault servers
	ConsulRPCPort  = 8300 // to Consul servers; Consul's default
	ConsulSerfPort = 8301 // gossip of all agents, TCP and UDP; Consul's default
	ConsulWANPort  = 8302 // gossip of servers of several datacenters, TCP and UDP; Consul's default
	ConsulPort     = 8501 // API; clients of Consul listen on the loopback address only
	ConsulGRPC     = 8503 // for Envoy, on the loopback address
	ConsulDNSPort  = 8600 // on the loopback address, TCP and UDP
	NomadPort      = 4646 // API
	NomadRPCPort   = 4647 // to Nomad servers; Nomad's default
	NomadSerfPort  = 4648 // gossip of Nomad servers, TCP and UDP; Nomad's default
)

// Ports on which nothing of ours listens, but something would if a setting were lost.
const (
	SSHPort         = 22
	ConsulPlainPort = 8500 // Consul's API without TLS
	ConsulPlainGRPC = 8502 // Consul's gRPC without TLS
)

// TaskResolver is the address at which tasks reach their machine's resolver, at port 53.
const TaskResolver = "169.254.20.10"

// ClosedToTasks are the platform's ports, TCP and UDP, that no task reaches on any machine. The API of Vault is not among
// them: tasks read their secrets there.
func ClosedToTasks() []int {
	return []int{
		SSHPort, NomadPort, NomadRPCPort, NomadSerfPort, VaultPeerPort, ConsulRPCPort, ConsulSerfPort, ConsulWANPort,
		ConsulPlainPort, ConsulPort, ConsulPlainGRPC, ConsulGRPC, ConsulDNSPort,
	}
}

// OpenToTasksOnLoopback are those of them that a task reaches on the loopback address of its own machine, where it has the
// machine's network: Consul's agent, which asks it for a token, and its DNS.
func OpenToTasksOnLoopback() []int { return []int{ConsulPort, ConsulGRPC, ConsulDNSPort} }

// HTTPS is the URL of an API.
func HTTPS(host string, port int) string { return "https://" + Host(host, port) }

// Host is host and port, as agents take addresses.
func Host(host string, port int) string { return host + ":" + strconv.Itoa(port) }

// VaultAddress is Vault for everybody but Vault itself.
func VaultAddress() string { return HTTPS(VaultName, VaultPort) }
