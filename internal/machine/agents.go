package machine

import (
	"time"

	"hashistack/internal/agentconfig"
	"hashistack/internal/vaultpath"
)

// Ports of the products' APIs and of what peers talk to each other.
const (
	consulHTTPS = 8501
	consulGRPC  = 8503
	consulDNS   = 8600
	vaultAPI    = "8200"
	vaultPeers  = "8201"
	nomadAPI    = "4646"
	nomadRPC    = "4647"
)

const (
	everywhere = "0.0.0.0" // the cloud's firewall decides who gets there
	loopback   = "127.0.0.1"
)

func consul(c Cluster, m Machine) agentconfig.Consul {
	server := m.has(RoleConsulServer)
	config := agentconfig.Consul{
		Datacenter: c.Datacenter, NodeName: m.Name,
		NodeMeta: map[string]string{"pool": m.Pool},
		DataDir:  "/opt/consul", LogLevel: "info",

		Server:        server,
		RetryJoin:     others(c.ConsulServers, m),
		RetryInterval: agentconfig.Duration(2 * time.Second),

		BindAddr: m.Private.String(), AdvertiseAddr: m.Private.String(), ClientAddr: loopback,
		Addresses: agentconfig.ConsulAddresses{HTTPS: loopback},
		Ports: agentconfig.ConsulPorts{
			DNS: consulDNS, HTTP: -1, HTTPS: consulHTTPS, GRPC: -1, GRPCTLS: consulGRPC,
		},

		TLS: agentconfig.ConsulTLS{
			Defaults: agentconfig.ConsulTLSDefaults{
				CAFile: caFile, CertFile: consulBundle, KeyFile: consulBundle,
				TLSMinVersion: "TLSv1_2", VerifyOutgoing: true,
			},
			InternalRPC: agentconfig.ConsulTLSInternalRPC{VerifyIncoming: true, VerifyServerHostname: true},
		},
		EnableLocalScriptChecks: true, // see credentialsService
		EnableAgentTLSForChecks: true,
		EncryptVerifyIncoming:   true, EncryptVerifyOutgoing: true,

		ACL: agentconfig.ConsulACL{
			Enabled: true, DefaultPolicy: "deny",
			DownPolicy: "extend-cache", // while no server answers, what was allowed stays allowed
			// Tokens come and go with consul-template; one kept in the data directory would outlive its lease.
			EnableTokenPersistence: false,
		},
		Connect:            agentconfig.ConsulEnabled{Enabled: true},
		UI:                 agentconfig.ConsulEnabled{Enabled: server},
		Performance:        agentconfig.ConsulPerformance{RaftMultiplier: 1}, // Consul's default is for tiny machines
		Telemetry:          agentconfig.ConsulTelemetry{PrometheusRetentionTime: agentconfig.Duration(time.Hour), DisableHostname: true},
		DisableUpdateCheck: true,
	}
	for _, resolver := range c.Resolvers {
		config.Recursors = append(config.Recursors, resolver.String())
	}
	if server {
		config.BootstrapExpect = len(c.ConsulServers)
		config.Addresses.HTTPS = everywhere
		config.Autopilot = &agentconfig.ConsulAutopilot{
			CleanupDeadServers:      true, // a replaced machine's old self
			LastContactThreshold:    agentconfig.Duration(time.Second),
			ServerStabilizationTime: agentconfig.Duration(10 * time.Second),
		}
	}
	return config
}

// vaultService announces Vault through Consul's agent instead of Vault's service_registration, whose token Vault reads
// at its start only: every new token would need a restart, and a restart seals a Vault that key shares unseal.
func vaultService(m Machine) agentconfig.ConsulService {
	address := m.Private.String()
	return agentconfig.ConsulService{
		Name: "vault", ID: "vault", Address: address, Port: 8200,
		Checks: []agentconfig.ConsulCheck{{
			ID: "vault-health", Name: "Vault is unsealed",
			HTTP:          "https://" + loopback + ":" + vaultAPI + "/v1/sys/health?standbyok=true",
			TLSServerName: VaultName,
			Interval:      agentconfig.Duration(5 * time.Second),
			Timeout:       agentconfig.Duration(3 * time.Second),
		}},
	}
}

// nomadServices announce the machine's Nomad through Consul's agent: Nomad itself would register a check of its API
// that does not verify the certificate. They are registered with a token of Nomad's own.
func nomadServices(c Cluster, m Machine) []agentconfig.ConsulService {
	service := func(name, kind, token, certificate string) agentconfig.ConsulService {
		return agentconfig.ConsulService{
			Name: name, ID: name, Address: m.Private.String(), Port: 4646,
			// consul-template fills it in, in the file that holds the service. JSON leaves backquotes as they are.
			Token: "{{ with secret `" + vaultpath.ConsulCreds(token) + "` }}{{ .Data.token }}{{ end }}",
			Checks: []agentconfig.ConsulCheck{{
				ID: name + "-health", Name: "Nomad's " + kind + " is healthy",
				HTTP:          "https://" + loopback + ":" + nomadAPI + "/v1/agent/health?type=" + kind,
				TLSServerName: certificate,
				Interval:      agentconfig.Duration(5 * time.Second),
				Timeout:       agentconfig.Duration(3 * time.Second),
			}},
		}
	}
	var services []agentconfig.ConsulService
	names := vaultpath.NomadClientNames(c.Region)
	if m.has(RoleNomadServer) {
		names = vaultpath.NomadServerNames(c.Region)
		services = append(services, service("nomad", "server", vaultpath.ConsulNomadServer, names[0]))
	}
	if m.has(RoleNomadClient) {
		services = append(services, service("nomad-client", "client", vaultpath.ConsulNomadClient, names[0]))
	}
	return services
}

// credentialsService shows in Consul, machine by machine, whether credentials are renewed in time. It is a service of its
// own because a critical check of a node would take all services of the machine out of DNS with it.
func credentialsService(m Machine) agentconfig.ConsulService {
	return agentconfig.ConsulService{
		Name: "credentials", ID: "credentials",
		// The agent's own: of all machines only Vault's have one for registration.
		Token: "{{ with secret `" + vaultpath.ConsulCreds(vaultpath.AgentRole(m.Pool)) + "` }}{{ .Data.token }}{{ end }}",
		Checks: []agentconfig.ConsulCheck{{
			ID: "credentials", Name: "Credentials are renewed in time",
			Args:     []string{"/usr/local/lib/hashistack/credentials", "report"},
			Interval: agentconfig.Duration(15 * time.Second),
			Timeout:  agentconfig.Duration(5 * time.Second),
		}},
	}
}

func vault(c Cluster, m Machine) agentconfig.Vault {
	address := "https://" + m.Private.String()
	raft := agentconfig.VaultRaft{Path: "/opt/vault/data", NodeID: m.Name, PerformanceMultiplier: "1"}
	for _, peer := range c.Vault {
		if peer.Name == m.Name {
			continue
		}
		raft.RetryJoin = append(raft.RetryJoin, agentconfig.VaultRetryJoin{
			LeaderAPIAddr:    "https://" + peer.Address.String() + ":" + vaultAPI,
			LeaderCACertFile: caFile, LeaderTLSServerName: VaultName,
		})
	}
	config := agentconfig.Vault{
		ClusterName: c.Datacenter,
		APIAddr:     address + ":" + vaultAPI, ClusterAddr: address + ":" + vaultPeers,
		UI:           true,
		DisableMlock: true, // as the integrated storage wants it: it maps its database into memory
		LogLevel:     "info",
		Listener: []agentconfig.VaultListener{{TCP: agentconfig.VaultListenerTCP{
			Address: everywhere + ":" + vaultAPI, ClusterAddress: m.Private.String() + ":" + vaultPeers,
			TLSCertFile: vaultBundle, TLSKeyFile: vaultBundle, TLSMinVersion: "tls12",
			// Nobody logs in by certificate; asked for one, browsers would bother people.
			TLSDisableClientCerts: true,
		}}},
		Storage: []agentconfig.VaultStorage{{Raft: raft}},
		Telemetry: []agentconfig.VaultTelemetry{{
			PrometheusRetentionTime: agentconfig.Duration(time.Hour), DisableHostname: true,
		}},
	}
	if c.Seal != nil {
		config.Seal = []map[string]any{{c.Seal.Type: c.Seal.Parameters}}
	}
	return config
}

func vaultAgent() agentconfig.VaultAgent {
	return agentconfig.VaultAgent{
		LogLevel: "info",
		Vault: []agentconfig.VaultAgentVault{{
			Address: vaultAddress, CACert: caFile,
			// The auth method does the retrying, within the bounds below.
			Retry: []agentconfig.VaultAgentRetry{{NumRetries: -1}},
		}},
		AutoAuth: []agentconfig.VaultAutoAuth{{
			Method: []agentconfig.VaultAuthMethod{{
				Type: "approle", MountPath: "auth/" + vaultpath.AppRole,
				MinBackoff: agentconfig.Duration(500 * time.Millisecond),
				MaxBackoff: agentconfig.Duration(3 * time.Second),
				Config: []agentconfig.VaultAppRoleConfig{{
					RoleIDFilePath:   vaultAgentDir + "role-id",
					SecretIDFilePath: vaultAgentDir + "secret-id",
				}},
			}},
			Sink: []agentconfig.VaultSink{{
				Type:   "file",
				Config: []agentconfig.VaultFileSinkConfig{{Path: tokenFile, Mode: 0o600}},
			}},
		}},
	}
}

// others are the addresses to join: all but the machine's own, because an agent that could join itself would be content
// with that. Alone it joins itself, for without a join Consul never tells systemd that it is ready.
func others(peers []Peer, m Machine) []string {
	var addresses []string
	for _, peer := range peers {
		if peer.Name != m.Name {
			addresses = append(addresses, peer.Address.String())
		}
	}
	if addresses == nil {
		addresses = []string{m.Private.String()}
	}
	return addresses
}
