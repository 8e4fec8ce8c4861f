package access

import (
	"time"

	"hashistack/internal/agentconfig"
	"hashistack/internal/machine"
	"hashistack/internal/names"
)

// Bundle is a file with a certificate, its chain and its key. They are one file so that a reader never sees a certificate and
// a key that do not match.
type Bundle struct {
	Name        string // of the template
	Certificate machine.Certificate
	Destination string
	Owner       string
	Command     []string // run when the file has changed
}

// request is the data of certificate.ctmpl.
type request struct {
	Path       string
	Parameters []machine.Parameter
}

// Template asks for the bundle's certificate.
func (b Bundle) Template(c machine.Cluster, m machine.Machine) machine.Template {
	return machine.Template{
		Name: b.Name, FS: files, File: "certificate.ctmpl",
		Data:        request{names.Issue(b.Certificate.Authority, b.Certificate.Role), b.Certificate.Request(c, m)},
		Destination: b.Destination, Owner: b.Owner, Command: b.Command,
	}
}

// Secret is the data of templates that read a field of a secret in Vault.
type Secret struct{ Path, Field string }

// TokenInJSON is an action of consul-template that writes a token. It can stand in a JSON string, because JSON does not escape
// backquotes.
func TokenInJSON(token machine.Token, m machine.Machine) string {
	return "{{ with secret `" + names.ConsulCreds(token.Role(m.Name)) + "` }}{{ .Data.token }}{{ end }}"
}

// renewAfter is the part of a certificate's life after which the machine asks for another: between 60 % and 67 %, so that an
// outage of Vault which is shorter than a third of the life harms nothing. It differs from neighbour to neighbour, because
// machines that boot together would otherwise renew together: consul-template does not spread certificates by itself.
func renewAfter(m machine.Machine) float64 {
	address := m.Private.As4()
	return float64(60+address[3]%8) / 100
}

func consulTemplate(m machine.Machine, templates []machine.Template) agentconfig.ConsulTemplate {
	config := agentconfig.ConsulTemplate{
		LogLevel: "info",
		Vault: agentconfig.ConsulTemplateVault{
			Address:             names.VaultAddress(),
			VaultAgentTokenFile: names.VaultToken,
			SSL:                 agentconfig.ConsulTemplateSSL{Enabled: true, Verify: true, CACert: names.CAFile},
			// What it asks for may not exist yet, or Vault may be sealed. It asks again without end and soon, because every
			// machine's bring-up waits for such answers several times.
			Retry: agentconfig.ConsulTemplateRetry{
				Enabled: true, Backoff: agentconfig.Duration(250 * time.Millisecond),
				MaxBackoff: agentconfig.Duration(2 * time.Second),
			},
			LeaseRenewalThreshold: renewAfter(m),
		},
	}
	for _, t := range templates {
		config.Templates = append(config.Templates, agentconfig.ConsulTemplateTemplate{
			Source: t.Source(), Destination: t.Destination,
			User: t.Owner, Group: t.Owner, Perms: "0600",
			Command: t.Command, ErrorOnMissingKey: true,
		})
	}
	return config
}
