// Package access is the machine's access to Vault, and what keeps all that the machine gets from there fresh: Vault Agent
// logs in, consul-template writes certificates, keys and tokens, and the check `credentials` shows whether they are renewed
// in time.
package access

import (
	"embed"
	"time"

	"hashistack/internal/agentconfig"
	"hashistack/internal/cloudinit"
	"hashistack/internal/machine"
	"hashistack/internal/names"
)

//go:embed all:rootfs policies templates
var files embed.FS

// Part is on every machine.
var Part = machine.Part{
	Name: "access", FS: files, On: on,
	Announces: []machine.Announcement{{Name: "credentials", Why: "Whether its machine's credentials are renewed in time"}},
}

const (
	vaultAgentDir = "/etc/vault-agent.d/"
	roleIDFile    = vaultAgentDir + "role-id"
	secretIDFile  = vaultAgentDir + "secret-id"
)

func on(c machine.Cluster, m machine.Machine) machine.Contents {
	return machine.Contents{
		Packages: []cloudinit.Package{
			{Name: "consul-template", Version: c.Packages.ConsulTemplate},
			{Name: "vault", Version: c.Packages.Vault}, // Vault Agent is part of it
		},
		Files: []cloudinit.File{
			{Path: roleIDFile, Permissions: "0600", Content: m.RoleID},
			{Path: secretIDFile, Permissions: "0600", Content: m.SecretID},
			// Vault's package makes a key and a certificate unless it finds some. Nothing here uses them, and making them costs
			// seconds of a small machine's boot.
			{Path: "/opt/vault/tls/tls.crt", Permissions: "0600"},
			{Path: "/opt/vault/tls/tls.key", Permissions: "0600"},
		},
		Configs: []machine.Config{
			{Path: vaultAgentDir + "agent.json", Value: vaultAgent()},
			{Path: "/etc/consul-template.d/config.json", Value: machine.FromAll(func(all machine.Contents) any {
				return consulTemplate(m, all.Templates)
			})},
		},
		Templates: []machine.Template{{
			Name: "leases", FS: files, File: "leases.ctmpl", Destination: names.Leases, Owner: "root",
			Data: machine.FromAll(func(all machine.Contents) any { return leases(m, all.Tokens()) }),
		}},
		Units: []machine.Unit{
			{Name: "vault-agent.service", Started: true},
			{Name: "consul-template.path", Started: true},
			{Name: "consul-template-login.path", Started: true},
			{Name: "credentials.timer", Started: true},
		},
		Services: []agentconfig.ConsulService{credentials(m)},
	}
}

// AgentToken is the Consul agent's own. Part consul declares it, for every machine has both parts.
var AgentToken = machine.Token{Name: "agent", Own: true}

// lease is a line of the file with the machine's leases.
type lease struct{ Name, Path string }

func leases(m machine.Machine, tokens []machine.Token) []lease {
	var all []lease
	for _, token := range tokens {
		role := token.Role(m.Name)
		all = append(all, lease{role, names.ConsulCreds(role)})
	}
	return all
}

// credentials shows in Consul, machine by machine, whether credentials are renewed in time. It is a service of its own: a
// critical check of a node would take all services of the machine out of DNS.
func credentials(m machine.Machine) agentconfig.ConsulService {
	return agentconfig.ConsulService{
		Name: "credentials", ID: "credentials",
		Token: TokenInJSON(AgentToken, m), // only machines of Vault have one for registration
		Checks: []agentconfig.ConsulCheck{{
			ID: "credentials", Name: "Credentials are renewed in time",
			Args:     []string{names.Scripts + "credentials", "report"},
			Interval: agentconfig.Duration(15 * time.Second),
			Timeout:  agentconfig.Duration(5 * time.Second),
		}},
	}
}

func vaultAgent() agentconfig.VaultAgent {
	return agentconfig.VaultAgent{
		LogLevel: "info",
		Vault: []agentconfig.VaultAgentVault{{
			Address: names.VaultAddress(), CACert: names.CAFile,
			// The auth method does the retrying, within the bounds below.
			Retry: []agentconfig.VaultAgentRetry{{NumRetries: -1}},
		}},
		AutoAuth: []agentconfig.VaultAutoAuth{{
			Method: []agentconfig.VaultAuthMethod{{
				Type: "approle", MountPath: "auth/" + names.AppRole,
				MinBackoff: agentconfig.Duration(500 * time.Millisecond),
				MaxBackoff: agentconfig.Duration(3 * time.Second),
				Config:     []agentconfig.VaultAppRoleConfig{{RoleIDFilePath: roleIDFile, SecretIDFilePath: secretIDFile}},
			}},
			Sink: []agentconfig.VaultSink{{
				Type:   "file",
				Config: []agentconfig.VaultFileSinkConfig{{Path: names.VaultToken, Mode: 0o600}},
			}},
		}},
	}
}
