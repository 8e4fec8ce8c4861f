// Package vault is a server of the Vault cluster.
package vault

import (
	"embed"
	"fmt"
	"strings"
	"time"

	"hashistack/internal/agentconfig"
	"hashistack/internal/cloudinit"
	"hashistack/internal/machine"
	"hashistack/internal/machine/parts/access"
	"hashistack/internal/names"
)

//go:embed all:rootfs policies
var files embed.FS

// Part is on machines with the role vault.
var Part = machine.Part{
	Name: "vault", FS: files, On: on, Member: machine.Vault,
	Certificates:     []machine.Certificate{certificate},
	Tokens:           []machine.Token{registrationToken},
	APIs:             []machine.API{{Name: "Vault API", Port: names.VaultPort}},
	FirstCertificate: []string{names.VaultName, names.Localhost},
	Announces:        []machine.Announcement{{Name: auditService, Why: "Whether its Vault can record requests"}},
}

var certificate = machine.Certificate{
	Authority: names.PKIVault, Role: names.PKIServer,
	Names: func(machine.Cluster) []string { return names.VaultNames() },
}

// registrationToken is the token that the machine's Consul agent announces Vault with.
var registrationToken = machine.Token{
	Name: "registration", Why: "The token with which its Consul agent announces Vault",
}

// issuedBundle is where the certificate from Vault arrives; install-vault-certificate puts it in place.
const issuedBundle = "/var/lib/consul-template/vault.pem"

func on(c machine.Cluster, m machine.Machine) machine.Contents {
	bundle := access.Bundle{
		Name: "vault-certificate", Certificate: certificate,
		Destination: issuedBundle, Owner: "root",
		Command: []string{names.Scripts + "install-vault-certificate"},
	}
	return machine.Contents{
		Packages: []cloudinit.Package{
			{Name: "logrotate"}, // of the audit logs; vault itself is everywhere
			{Name: "curl"},      // for vault-door
		},
		Files: []cloudinit.File{
			{
				Path: names.VaultBundle, Owner: "vault:vault", Permissions: "0600", Defer: true,
				Content: line(m.BootstrapCertificate) + line(m.BootstrapKey),
			},
			{Path: "/etc/hashistack/vault-door.nft", Permissions: "0644", Content: closedDoor(c)},
		},
		Configs:     []machine.Config{{Path: names.VaultDir + "server.json", Owner: "vault", Value: server(c, m)}},
		Templates:   []machine.Template{bundle.Template(c, m)},
		Units:       []machine.Unit{{Name: "vault.service", Started: true}, {Name: "vault-door.service", Started: true}},
		AgentTokens: []machine.AgentToken{{Setting: "config_file_service_registration", Token: registrationToken}},
		Services:    []agentconfig.ConsulService{service(m), audit(m)},
	}
}

// closedDoor are the rules of a machine whose Vault is sealed, see vault-door.
func closedDoor(c machine.Cluster) string {
	return fmt.Sprintf(`#!/usr/sbin/nft -f
# Loaded while Vault is sealed, see vault-door. Declared first, so that deleting it works the first time too.
table inet hashistack_vault
delete table inet hashistack_vault

table inet hashistack_vault {
	chain input {
		type filter hook input priority filter; policy accept;
		iifname != "lo" ip saddr %s tcp dport %d reject with tcp reset
	}
}
`, c.Network, names.VaultPort)
}

// line returns s with exactly one newline at its end.
func line(s string) string { return strings.TrimRight(s, "\n") + "\n" }

// service announces Vault through Consul's agent. Vault's own service_registration reads its token at Vault's start only:
// every new token would need a restart, and a restart seals a Vault that key shares unseal.
func service(m machine.Machine) agentconfig.ConsulService {
	return agentconfig.ConsulService{
		Name: "vault", ID: "vault", Address: m.Private.String(), Port: names.VaultPort,
		Checks: []agentconfig.ConsulCheck{{
			ID: "vault-health", Name: "Vault is unsealed",
			HTTP:          names.HTTPS("127.0.0.1", names.VaultPort) + "/v1/sys/health?standbyok=true",
			TLSServerName: names.VaultName,
			Interval:      agentconfig.Duration(5 * time.Second),
			Timeout:       agentconfig.Duration(3 * time.Second),
		}},
	}
}

const auditService = "vault-audit"

// audit shows in Consul whether Vault's audit devices can write. It is a service of its own: Vault answers as long as one of
// them can, so it has to stay in DNS.
func audit(m machine.Machine) agentconfig.ConsulService {
	return agentconfig.ConsulService{
		Name: auditService, ID: auditService,
		Token: access.TokenInJSON(access.AgentToken, m), // that for registration is Vault's alone
		Checks: []agentconfig.ConsulCheck{{
			ID: auditService, Name: "Vault can record requests",
			Args:     []string{names.Scripts + "vault-audit"},
			Interval: agentconfig.Duration(15 * time.Second),
			Timeout:  agentconfig.Duration(5 * time.Second),
		}},
	}
}

func server(c machine.Cluster, m machine.Machine) agentconfig.Vault {
	private := m.Private.String()
	raft := agentconfig.VaultRaft{Path: "/opt/vault/data", NodeID: m.Name, PerformanceMultiplier: "1"}
	for _, peer := range c.Servers[machine.RoleVault] {
		if peer.Name == m.Name {
			continue
		}
		raft.RetryJoin = append(raft.RetryJoin, agentconfig.VaultRetryJoin{
			LeaderAPIAddr:    names.HTTPS(peer.Address.String(), names.VaultPort),
			LeaderCACertFile: names.CAFile, LeaderTLSServerName: names.VaultName,
		})
	}
	config := agentconfig.Vault{
		ClusterName:  c.Datacenter,
		APIAddr:      names.HTTPS(private, names.VaultPort),
		ClusterAddr:  names.HTTPS(private, names.VaultPeerPort),
		UI:           true,
		DisableMlock: true, // as the integrated storage wants it: it maps its database into memory
		LogLevel:     "info",
		Listener: []agentconfig.VaultListener{{TCP: agentconfig.VaultListenerTCP{
			Address:        names.Host(machine.AnyAddress, names.VaultPort),
			ClusterAddress: names.Host(private, names.VaultPeerPort),
			TLSCertFile:    names.VaultBundle, TLSKeyFile: names.VaultBundle, TLSMinVersion: "tls12",
			// There is no login by certificate, and a browser that is asked for one bothers people.
			TLSDisableClientCerts: true,
		}}},
		Storage: []agentconfig.VaultStorage{{Raft: raft}},
		// Vault locks an AppRole for a quarter of an hour after five wrong logins, and all machines of a pool share one. Machines
		// that log in before their SecretID exists would lock it, and so could anybody who knows the pool's name. A SecretID
		// cannot be guessed, so nothing is lost.
		UserLockout: []map[string]agentconfig.VaultUserLockout{{"approle": {DisableLockout: true}}},
		Telemetry: []agentconfig.VaultTelemetry{{
			PrometheusRetentionTime: agentconfig.Duration(time.Hour), DisableHostname: true,
		}},
	}
	if c.Seal != nil {
		config.Seal = []map[string]any{{c.Seal.Type: c.Seal.Parameters}}
	}
	return config
}
