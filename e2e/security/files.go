package security

import (
	"context"

	"hashistack/internal/names"
)

// files are attempts of another user of a machine to read what is its agents'. The twin is root's.
func (w *world) files() []Attempt {
	read := func(machine, user, path string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := w.stack.OnMachine(ctx, machine, "setpriv", "--reuid="+user, "--regid="+user, "--clear-groups",
				"sh", "-c", "if [ -d '"+path+"' ]; then ls '"+path+"'; else head -c 1 '"+path+"'; fi >/dev/null")
			return err
		}
	}
	both := []string{
		names.VaultToken, "/etc/vault-agent.d/secret-id", "/etc/vault-agent.d/role-id", names.Leases,
		names.ConsulBundle, names.ConsulDir + "tokens.json", names.ConsulDir + "gossip.json", "/opt/consul",
		names.NomadBundle, names.NomadDir + "consul.json", "/opt/nomad/data",
		"/etc/consul-template.d/config.json", "/var/lib/cloud/instance/user-data.txt",
	}
	server := []string{
		names.NomadDir + "gossip.json", names.VaultBundle, "/opt/vault/data", names.VaultAuditLog,
		"/var/lib/consul-template/vault.pem", names.VaultDir + "server.json",
	}
	var attempts []Attempt
	add := func(kind, machine string, paths []string) {
		for _, path := range paths {
			attempts = append(attempts, Attempt{
				From: "another user of a " + kind, What: "read " + path, Because: "Permission denied",
				Refused: read(machine, "65534", path), Permitted: read(machine, "0", path),
			})
		}
	}
	add("client", w.client, both)
	add("server", w.server, server)
	return attempts
}

// certificates are attempts to use a certificate for something else than what it was issued for, or to use none.
func (w *world) certificates() []Attempt {
	passes := func(machine, bundle, name string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := w.stack.OnMachine(ctx, machine, "openssl", "verify", "-CAfile", names.CAFile, "-untrusted", bundle,
				"-purpose", "sslserver", "-verify_hostname", name, bundle)
			return err
		}
	}
	// The byte says to an agent's RPC port that TLS follows (Consul's agent/pool/conn.go, Nomad's helper/pool/conn.go).
	greet := func(port int, first, name string, bundle ...string) func(context.Context) error {
		return func(ctx context.Context) error {
			arguments := append([]string{"tls", names.Host(w.private[w.server], port), first, names.CAFile, name}, bundle...)
			_, err := w.fromMachine(w.neighbour)(ctx, arguments...)
			return err
		}
	}
	consul, nomad := names.ConsulServerNames("fsn1")[0], names.NomadServerNames("global")[0]
	return []Attempt{
		{
			"root on a client", "pass for a Consul server with a client's certificate", "hostname mismatch",
			passes(w.client, names.ConsulBundle, consul), passes(w.server, names.ConsulBundle, consul),
		},
		{
			"root on a client", "pass for a Nomad server with a client's certificate", "hostname mismatch",
			passes(w.client, names.NomadBundle, nomad), passes(w.server, names.NomadBundle, nomad),
		},
		{
			"private network", "speak to a Consul server's RPC without a certificate", "handshake failure",
			greet(names.ConsulRPCPort, "3", consul), greet(names.ConsulRPCPort, "3", consul, names.ConsulBundle),
		},
		{
			"private network", "speak to a Nomad server's RPC without a certificate", "handshake failure",
			greet(names.NomadRPCPort, "4", nomad), greet(names.NomadRPCPort, "4", nomad, names.NomadBundle),
		},
	}
}
