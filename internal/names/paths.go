package names

// Paths on a machine that more than one part of it uses.
const (
	// CAFile holds the root certificate that the machine trusts.
	CAFile = "/etc/hashistack/ca.pem"
	// Scripts is where the platform's own scripts are. Files below it are executable.
	Scripts = "/usr/local/lib/hashistack/"
	// Apply makes a service take notice of a changed file: apply UNIT reload|restart|restart-in-turn.
	Apply = Scripts + "apply"
	// VaultToken holds the machine's Vault token. Vault Agent writes it, root alone reads it.
	VaultToken = "/run/vault-agent/token" //nolint:gosec // a path, no credential
	// Leases lists the machine's Consul tokens, a line each: name and lease.
	Leases = "/var/lib/hashistack/leases"

	// ConsulDir, NomadDir and VaultDir hold the agents' configuration. The packages' own files beside them are not read.
	ConsulDir = "/etc/consul.d/hashistack/"
	NomadDir  = "/etc/nomad.d/hashistack/"
	VaultDir  = "/etc/vault.d/hashistack/"
	// ConsulBundle, NomadBundle and VaultBundle hold an agent's certificate, its chain and its key.
	ConsulBundle = "/etc/consul.d/tls/consul.pem"
	NomadBundle  = "/etc/nomad.d/tls/nomad.pem"
	VaultBundle  = "/etc/vault.d/tls/vault.pem"

	// VaultAuditLog is where each Vault server records every request. logrotate bounds its size.
	VaultAuditLog = "/var/log/vault/audit.log"
	// VaultAuditTag marks the same records in the machine's journal.
	VaultAuditTag = "vault-audit"
)
