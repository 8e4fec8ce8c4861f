package machine

import (
	"io/fs"
	"strings"

	"hashistack/internal/agentconfig"
	"hashistack/internal/cloudinit"
	"hashistack/internal/names"
)

// Part is one thing that machines are made of: a product, or a duty of the machine itself. It is a folder in parts/ with
//
//	part.go     what the part needs of the platform, and what depends on the machine
//	rootfs/     files that are the same on every machine; the folder mirrors the machine's /
//	templates/  files that consul-template writes on the machine from what Vault gives it
//	policies/   vault.hcl: what the part's machines may do in Vault; consul/<token>.hcl: what each of its tokens may do
//
// Everything but part.go is optional, and so is FS. The table in package parts says which machines have which parts.
type Part struct {
	Name string // of the folder
	FS   fs.FS  // the folder's rootfs/, templates/ and policies/
	// Everywhere is whether every machine has the part. The table in package parts sets it.
	Everywhere bool

	// Member is the product whose cluster the part makes its machine a member of; empty: of none.
	Member Product
	// RunsJobs is whether jobs run on machines with the part. They are drained before they go.
	RunsJobs bool

	// Certificates are those that machines with the part may ask Vault for. The authorities get a role for each.
	Certificates []Certificate
	// Tokens are the Consul tokens that machines with the part are given. Vault's Consul engine gets a role for each.
	Tokens []Token
	// Announces are services that the machine's Consul agent registers with its own token. The token's policy lists them.
	Announces []Announcement
	// APIs are reached from the operators' networks. The cloud's firewall opens them on machines with the part.
	APIs []API
	// FirstCertificate names what the part listens as before Vault can issue certificates; nil if it can wait. The root
	// signs such a certificate with the machine's user-data (Machine.BootstrapCertificate).
	FirstCertificate []string

	// On says what the part brings to a machine besides its rootfs. Nil: nothing.
	On func(Cluster, Machine) Contents
}

// Product is one of the products that form a cluster.
type Product string

// The products.
const (
	Vault  Product = "vault"
	Consul Product = "consul"
	Nomad  Product = "nomad"
)

// Certificate is a role of a certificate authority in Vault.
type Certificate struct {
	Authority string                 // mount, for example names.PKIConsul
	Role      string                 // names.PKIServer or names.PKIClient
	Names     func(Cluster) []string // what it certifies, the common name first
}

// Parameter is one of a request for a certificate.
type Parameter struct{ Name, Value string }

// Request is what a machine asks for, and all that it may ask for. It has no lifetime: the authority's role sets that, so that
// a change of lifetimes replaces no machine. Only a server's certificate has addresses, which are the machine's own: clients get
// none, because of theirs nobody could tell whether they are a server's.
func (cert Certificate) Request(c Cluster, m Machine) []Parameter {
	certified := cert.Names(c)
	request := []Parameter{{"common_name", certified[0]}, {"alt_names", strings.Join(certified[1:], ",")}}
	if cert.Role != names.PKIServer {
		return request
	}
	addresses := []string{"127.0.0.1", m.Private.String()}
	if m.Public.IsValid() {
		addresses = append(addresses, m.Public.String())
	}
	return append(request, Parameter{"ip_sans", strings.Join(addresses, ",")})
}

// Token is a Consul ACL token that Vault issues and consul-template keeps fresh. Its policy is policies/consul/<Name>.hcl.
type Token struct {
	Name string
	// Own is whether each machine has a role and a policy of its own, named after the machine.
	Own bool
	Why string // a comment in the machines' policy in Vault, without its full stop; empty: none
}

// Role is the name of the engine's role, and of the policy in Consul, for a machine.
func (t Token) Role(machine string) string {
	if t.Own {
		return t.Name + "-" + machine
	}
	return t.Name
}

// Announcement is a service that the Consul agent of each machine may register.
type Announcement struct {
	Name string
	Why  string // a comment in the policy, without its full stop
}

// API is a port that operators reach.
type API struct {
	Name string // of the firewall rule
	Port int
}

// Contents are what a part, or all parts together, bring to one machine.
type Contents struct {
	// Packages are Debian packages. Those with a version are held: a new version is a new machine.
	Packages []cloudinit.Package
	Files    []cloudinit.File
	Configs  []Config
	// Templates are files that consul-template writes.
	Templates []Template
	// Commands run once, when packages and files are there and before the units start.
	Commands [][]string
	Units    []Unit

	// AgentTokens are settings of the machine's Consul agent that hold a token.
	AgentTokens []AgentToken
	// Services are announced by the machine's Consul agent.
	Services []agentconfig.ConsulService
	// Consul and Nomad change the configuration of the machine's agents.
	Consul []func(*agentconfig.Consul)
	Nomad  []func(*agentconfig.Nomad)

	// tokens are the Consul tokens of all parts of the machine.
	tokens []Token
}

// append adds what another part brings.
func (c *Contents) append(more Contents) {
	c.Packages = append(c.Packages, more.Packages...)
	c.Files = append(c.Files, more.Files...)
	c.Configs = append(c.Configs, more.Configs...)
	c.Templates = append(c.Templates, more.Templates...)
	c.Commands = append(c.Commands, more.Commands...)
	c.Units = append(c.Units, more.Units...)
	c.AgentTokens = append(c.AgentTokens, more.AgentTokens...)
	c.Services = append(c.Services, more.Services...)
	c.Consul = append(c.Consul, more.Consul...)
	c.Nomad = append(c.Nomad, more.Nomad...)
	c.tokens = append(c.tokens, more.tokens...)
}

// Tokens are the Consul tokens of all parts of the machine.
func (c Contents) Tokens() []Token { return c.tokens }

// FromAll is a value of a Config, or the data of a Template, that needs what all parts of the machine bring.
type FromAll func(Contents) any

// Changed is a configuration with what other parts change in it, in their order.
func Changed[T any](config T, changes []func(*T)) T {
	for _, change := range changes {
		change(&config)
	}
	return config
}

// Config is a configuration, written as JSON for its owner alone: it may hold credentials.
type Config struct {
	Path  string
	Owner string // user, and group of the same name; empty: root
	Value any    // of package agentconfig, or a FromAll that returns one
}

// Unit is a systemd unit that the machine enables.
type Unit struct {
	Name string
	// Started on the first boot too. The others start when consul-template has written what they wait for.
	Started bool
}

// AgentToken is a setting of the Consul agent's acl.tokens.
type AgentToken struct {
	Setting string // for example "agent"
	Token   Token
}
