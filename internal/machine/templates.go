package machine

import (
	"embed"
	"fmt"
	"path"
	"strconv"
	"strings"
	"text/template"
	"time"

	"hashistack/internal/agentconfig"
	"hashistack/internal/vaultpath"
)

// consul-template's templates. They are templates twice: [[ ]] is filled in here, {{ }} by consul-template on the
// machine.
//
//go:embed templates/*.ctmpl
var templateFiles embed.FS

// vaultAddress is Vault for everybody but Vault itself.
const vaultAddress = "https://" + VaultName + ":" + vaultAPI

// rendered is one file that consul-template writes.
type rendered struct {
	name        string // of the template on the machine
	template    string // file in templates/
	data        any
	destination string
	owner       string   // user, and group of the same name
	command     []string // run when the file has changed
}

func (r rendered) source() string { return templateDir + r.name + ".ctmpl" }

// render fills in what is known now.
func (r rendered) render() (string, error) {
	t, err := template.New(r.template).Delims("[[", "]]").Option("missingkey=error").Funcs(template.FuncMap{
		"quote": strconv.Quote,
		"join":  func(s []string) string { return strings.Join(s, ",") },
		"json": func(config any) (string, error) {
			text, err := agentconfig.JSON(config)
			return strings.TrimSuffix(text, "\n"), err
		},
	}).ParseFS(templateFiles, path.Join("templates", r.template))
	if err != nil {
		return "", fmt.Errorf("parse template %s: %w", r.template, err)
	}
	var b strings.Builder
	if err := t.Execute(&b, r.data); err != nil {
		return "", fmt.Errorf("render %s: %w", r.source(), err)
	}
	return b.String(), nil
}

// certificate is what certificate.ctmpl asks for. How long it lives is up to the authority's role, so that another
// lifetime is no other machine.
type certificate struct {
	Path, CommonName    string
	AltNames, Addresses []string
}

// secret is what the gossip templates and nomad-consul.ctmpl read.
type secret struct{ Path, Field string }

// consulTokens is what consul-tokens.ctmpl writes: the agent's tokens, and the services of the machine. Those come
// together because a service that the agent knows before it may register it waits for the next full synchronisation, a
// minute or two, while one that appears is registered at once.
type consulTokens struct {
	Tokens   []consulToken
	Services []agentconfig.ConsulService
}

// consulToken is a token that Vault issues: one of the agent's by its name in Consul's configuration, or any by its role.
type consulToken struct{ Name, Path string }

// templates are all files that consul-template writes on the machine.
func templates(c Cluster, m Machine) []rendered {
	t := append(consulTemplates(c, m), rendered{
		name: "leases", template: "leases.ctmpl", data: leased(m), destination: leasesFile, owner: "root",
	})
	if m.runsNomad() {
		t = append(t, nomadTemplates(c, m)...)
	}
	if m.has(RoleVault) {
		t = append(t, rendered{
			name: "vault-certificate", template: "certificate.ctmpl",
			data:        issue(m, vaultpath.PKIVault, vaultpath.PKIServer, vaultpath.VaultNames()),
			destination: vaultIssued, owner: "root",
			command: []string{"/usr/local/lib/hashistack/install-vault-certificate"},
		})
	}
	return t
}

// leased are all Consul tokens that the machine is given, by their roles.
func leased(m Machine) (tokens []consulToken) {
	roles := []string{vaultpath.AgentRole(m.Pool), vaultpath.ConsulDNS}
	if m.has(RoleVault) {
		roles = append(roles, vaultpath.ConsulRegistration)
	}
	if m.has(RoleNomadServer) {
		roles = append(roles, vaultpath.ConsulNomadServer)
	}
	if m.has(RoleNomadClient) {
		roles = append(roles, vaultpath.ConsulNomadClient)
	}
	for _, role := range roles {
		tokens = append(tokens, consulToken{role, vaultpath.ConsulCreds(role)})
	}
	return tokens
}

func consulTemplates(c Cluster, m Machine) []rendered {
	names, role := vaultpath.ConsulClientNames(c.Datacenter), vaultpath.PKIClient
	if m.has(RoleConsulServer) {
		names, role = vaultpath.ConsulServerNames(c.Datacenter), vaultpath.PKIServer
	}
	tokens := consulTokens{Tokens: []consulToken{
		{"agent", vaultpath.ConsulCreds(vaultpath.AgentRole(m.Pool))},
		{"dns", vaultpath.ConsulCreds(vaultpath.ConsulDNS)},
	}, Services: []agentconfig.ConsulService{credentialsService(m)}}
	if m.has(RoleVault) {
		tokens.Tokens = append(tokens.Tokens, consulToken{
			"config_file_service_registration", vaultpath.ConsulCreds(vaultpath.ConsulRegistration),
		})
		tokens.Services = append(tokens.Services, vaultService(m))
	}
	tokens.Services = append(tokens.Services, nomadServices(c, m)...)
	// The same command for all three, so that consul-template runs it once when several files change together.
	reload := []string{applyCommand, "consul", "reload"}
	return []rendered{
		{
			name: "consul-certificate", template: "certificate.ctmpl",
			data:        issue(m, vaultpath.PKIConsul, role, names),
			destination: consulBundle, owner: "consul", command: reload,
		},
		{
			name: "consul-gossip", template: "gossip-consul.ctmpl",
			data:        secret{vaultpath.PlatformData(vaultpath.GossipConsul), vaultpath.GossipField},
			destination: consulDir + "gossip.json", owner: "consul", command: reload,
		},
		{
			name: "consul-tokens", template: "consul-tokens.ctmpl",
			data:        tokens,
			destination: consulDir + "tokens.json", owner: "consul", command: reload,
		},
	}
}

func nomadTemplates(c Cluster, m Machine) []rendered {
	names, role := vaultpath.NomadClientNames(c.Region), vaultpath.PKIClient
	token := vaultpath.ConsulNomadClient
	if m.has(RoleNomadServer) {
		names, role = vaultpath.NomadServerNames(c.Region), vaultpath.PKIServer
		token = vaultpath.ConsulNomadServer
	}
	owner := "root"
	if !m.has(RoleNomadClient) {
		owner = "nomad" // see files/nomad-server-only
	}
	reload := []string{applyCommand, "nomad", "reload"}
	// Nomad reads its Consul token at its start only. Allocations go on running meanwhile; of servers, most must.
	restart := []string{applyCommand, "nomad", "restart"}
	if m.has(RoleNomadServer) {
		restart[2] = "restart-in-turn"
	}

	t := []rendered{
		{
			name: "nomad-certificate", template: "certificate.ctmpl",
			data:        issue(m, vaultpath.PKINomad, role, names),
			destination: nomadBundle, owner: owner, command: reload,
		},
		{
			name: "nomad-consul", template: "nomad-consul.ctmpl",
			data:        secret{Path: vaultpath.ConsulCreds(token)},
			destination: nomadDir + "consul.json", owner: owner, command: restart,
		},
	}
	if m.has(RoleNomadServer) {
		t = append(t, rendered{
			name: "nomad-gossip", template: "gossip-nomad.ctmpl",
			data:        secret{vaultpath.PlatformData(vaultpath.GossipNomad), vaultpath.GossipField},
			destination: nomadDir + "gossip.json", owner: owner, command: reload,
		})
	}
	return t
}

// issue asks for a certificate with the names, of which the first is the common name, and for servers with the
// machine's addresses. Clients get none: Vault cannot tell whose an address is, so theirs could be a server's.
func issue(m Machine, mount, role string, names []string) certificate {
	var addresses []string
	if role == vaultpath.PKIServer {
		addresses = []string{"127.0.0.1", m.Private.String()}
		if m.Public.IsValid() {
			addresses = append(addresses, m.Public.String())
		}
	}
	return certificate{
		Path:       vaultpath.Issue(mount, role),
		CommonName: names[0], AltNames: names[1:], Addresses: addresses,
	}
}

// renewAfter is the part of a certificate's life after which the machine asks for another: between 60 % and 67 %, so that
// an outage of Vault that a third of the life outlasts harms nothing. It differs from neighbour to neighbour, because
// machines that boot together would otherwise renew together: consul-template does not spread certificates by itself.
func renewAfter(m Machine) float64 {
	address := m.Private.As4()
	return float64(60+address[3]%8) / 100
}

func consulTemplate(c Cluster, m Machine) agentconfig.ConsulTemplate {
	config := agentconfig.ConsulTemplate{
		LogLevel: "info",
		Vault: agentconfig.ConsulTemplateVault{
			Address:             vaultAddress,
			VaultAgentTokenFile: tokenFile,
			SSL:                 agentconfig.ConsulTemplateSSL{Enabled: true, Verify: true, CACert: caFile},
			// What it asks for may not exist yet, or Vault be sealed: it asks on, without end and soon, for every machine's
			// bring-up waits for these answers several times.
			Retry: agentconfig.ConsulTemplateRetry{
				Enabled: true, Backoff: agentconfig.Duration(250 * time.Millisecond),
				MaxBackoff: agentconfig.Duration(2 * time.Second),
			},
			LeaseRenewalThreshold: renewAfter(m),
		},
	}
	for _, t := range templates(c, m) {
		config.Templates = append(config.Templates, agentconfig.ConsulTemplateTemplate{
			Source: t.source(), Destination: t.destination,
			User: t.owner, Group: t.owner, Perms: "0600",
			Command: t.command, ErrorOnMissingKey: true,
		})
	}
	return config
}
