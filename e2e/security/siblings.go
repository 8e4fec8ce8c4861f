package security

import (
	"context"
	"fmt"
	"strings"

	nomad "github.com/hashicorp/nomad/api"

	"hashistack/internal/names"
)

// siblings are attempts of root on a machine to be another one, which may differ in nothing but its number.
func (w *world) siblings() []Attempt {
	var attempts []Attempt
	for _, pair := range []struct{ own, other string }{{w.client, w.neighbour}, {w.server, w.otherServer}} {
		agent := func(machine string) func(context.Context) error {
			return w.on(pair.own, asMachine+"vault read "+names.ConsulCreds("agent-"+machine))
		}
		node := func(machine string) func(context.Context) error {
			return w.consulAPI(pair.own, agentToken, "catalog/register", fmt.Sprintf(`{"Node": %q, "Address": "`+w.private[machine]+`"}`, machine))
		}
		from := func(machine string) func(context.Context) error {
			return func(ctx context.Context) error {
				token, err := w.stack.OnMachine(ctx, pair.own, "cat", names.VaultToken)
				if err != nil {
					return err
				}
				return w.shell(ctx, machine, vaultOn+" VAULT_TOKEN="+strings.TrimSpace(string(token))+" && vault token lookup >/dev/null")
			}
		}
		position := "root on " + pair.own
		attempts = append(attempts,
			Attempt{position, "get the Consul token of " + pair.other, "403", agent(pair.other), agent(pair.own)},
			Attempt{position, "register " + pair.other + " in Consul", "403", node(pair.other), node(pair.own)},
			Attempt{position, "use its login to Vault on " + pair.other, "403", from(pair.other), from(pair.own)},
		)
	}
	return append(append(attempts, w.services()...), w.nodes()...)
}

// nodes are attempts of root on a client to register nodes, whose jobs it would get. The twin is one that was introduced.
func (w *world) nodes() []Attempt {
	const node, pool = "security-probe", "default"
	register := func(introduction func(context.Context) (string, error)) func(context.Context) error {
		return func(ctx context.Context) error {
			token, err := introduction(ctx)
			if err != nil {
				return err
			}
			id, err := w.stack.OnMachineWith(ctx, strings.NewReader(token), w.client, scanner, "register",
				names.Host(w.private[w.server], names.NomadRPCPort), names.CAFile, "server.global.nomad", names.NomadBundle, node, pool)
			if err != nil {
				return err
			}
			_, _, err = w.nomad.Nodes().Purge(strings.TrimSpace(string(id)), (&nomad.QueryOptions{}).WithContext(ctx))
			return err
		}
	}
	introduced := func(context.Context) (string, error) {
		made, _, err := w.nomad.ACLIdentity().CreateClientIntroductionToken(
			&nomad.ACLIdentityClientIntroductionTokenRequest{NodeName: node, NodePool: pool}, nil)
		if err != nil {
			return "", err
		}
		return made.JWT, nil
	}
	own := func(ctx context.Context) (string, error) {
		token, err := w.stack.OnMachine(ctx, w.client, "cat", "/opt/nomad/data/client/intro_token.jwt")
		return string(token), err
	}
	none := func(context.Context) (string, error) { return "", nil }
	return []Attempt{
		{"root on a client", "register a Nomad node without an introduction", "Permission denied", register(none), register(introduced)},
		{"root on a client", "register a Nomad node of another name with its own introduction", "Permission denied", register(own), register(introduced)},
	}
}

// services are attempts of root on a client to speak for a service of the platform, with the token of its Nomad.
func (w *world) services() []Attempt {
	deregister := func(node, service string) func(context.Context) error {
		return w.consulAPI(w.client, nomadToken, "catalog/deregister", fmt.Sprintf(`{"Node": %q, "ServiceID": %q}`, node, service))
	}
	leaf := func(service string) func(context.Context) error {
		return w.consulAPI(w.client, nomadToken, "agent/connect/ca/leaf/"+service, "")
	}
	attempts := []Attempt{
		{"root on a client", "deregister Vault of a server", "403", deregister(w.server, "vault"), deregister(w.client, "nomad-client")},
	}
	for _, service := range names.PlatformServices() {
		if service != "nomad-client" {
			attempts = append(attempts, Attempt{"root on a client", "get a mesh certificate as " + service, "403", leaf(service), leaf("a-service-of-a-job")})
		}
	}
	return attempts
}

// parameters are attempts to get a certificate with what is another machine's, or with more than its role gives.
func (w *world) parameters() []Attempt {
	var attempts []Attempt
	for _, c := range []struct{ machine, mount, role, name, what, with string }{
		{w.client, names.PKIConsul, names.PKIClient, "client.fsn1.consul", "a name of its own choice", "alt_names=page.service.consul"},
		{w.client, names.PKINomad, names.PKIClient, "client.global.nomad", "a shorter life", "ttl=1m"},
		{w.server, names.PKIVault, names.PKIServer, names.VaultName, "another server's address", "ip_sans=" + w.private[w.otherServer]},
		{w.server, names.PKIConsul, names.PKIServer, "server.fsn1.consul", "an address of its own choice", "ip_sans=192.0.2.1"},
		{w.server, names.PKINomad, names.PKIServer, "server.global.nomad", "a URI", "uri_sans=spiffe://a/b"},
	} {
		issue := asMachine + "vault write " + names.Issue(c.mount, c.role) + " common_name=" + c.name
		attempts = append(attempts, Attempt{
			"root on " + c.machine, "get a certificate of " + c.mount + " with " + c.what, "403", w.on(c.machine, issue+" "+c.with), w.on(c.machine, issue),
		})
	}
	return attempts
}

// vaultOn makes a machine's shell talk to Vault, asMachine with the machine's login.
var (
	vaultOn   = "export VAULT_ADDR=" + names.VaultAddress() + " VAULT_CACERT=" + names.CAFile
	asMachine = vaultOn + " VAULT_TOKEN=$(cat " + names.VaultToken + ") && "
)

// Where a machine has the Consul tokens of its agent and of its Nomad.
const (
	agentToken = `sed --quiet 's/.*"agent": "\([^"]*\)".*/\1/p' ` + names.ConsulDir + `tokens.json`
	nomadToken = `sed --quiet 's/.*"token": "\([^"]*\)".*/\1/p' ` + names.NomadDir + `consul.json`
)

// on runs a command as root on a machine, and forgets what it prints.
func (w *world) on(machine, command string) func(context.Context) error {
	return func(ctx context.Context) error { return w.shell(ctx, machine, command+" >/dev/null") }
}

// consulAPI asks the Consul agent of a machine, with the token that a command there prints. A body is put. The error has the
// status.
func (w *world) consulAPI(machine, token, path, body string) func(context.Context) error {
	put := ""
	if body != "" {
		put = "--request PUT --data '" + body + "' "
	}
	return w.on(machine, `secret=$(`+token+`); [ -n "$secret" ] && curl --silent --show-error --fail --cacert `+names.CAFile+
		` --header "X-Consul-Token: $secret" `+put+`https://localhost:8501/v1/`+path)
}
