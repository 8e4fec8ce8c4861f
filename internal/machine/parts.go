package machine

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"text/template"

	"hashistack/internal/names"
)

// Parts are those of a machine, or of several, in the order of the table in package parts.
type Parts []Part

// APIs are what operators reach on machines with these parts.
func (parts Parts) APIs() []API {
	var all []API
	for _, part := range parts {
		all = append(all, part.APIs...)
	}
	return all
}

// Member tells whether machines with these parts are members of a product's cluster.
func (parts Parts) Member(of Product) bool {
	return slices.ContainsFunc(parts, func(part Part) bool { return part.Member == of })
}

// RunJobs tells whether jobs run on machines with these parts.
func (parts Parts) RunJobs() bool {
	return slices.ContainsFunc(parts, func(part Part) bool { return part.RunsJobs })
}

// Certificates are what machines with these parts may ask for.
func (parts Parts) Certificates() []Certificate {
	var all []Certificate
	for _, part := range parts {
		all = append(all, part.Certificates...)
	}
	return all
}

// FirstCertificate are the names on the certificate that a machine needs before Vault can issue any; nil if it needs none.
func (parts Parts) FirstCertificate() []string {
	var all []string
	for _, part := range parts {
		all = append(all, part.FirstCertificate...)
	}
	return all
}

// Tokens are the Consul tokens that a machine with these parts is given, each with its policy in Consul.
func (parts Parts) Tokens(c Cluster, m Machine) ([]TokenRole, error) {
	var all []TokenRole
	for _, part := range parts {
		for _, token := range part.Tokens {
			policy, err := part.policy("consul/"+token.Name+".hcl", c, m, parts)
			if err != nil {
				return nil, err
			}
			all = append(all, TokenRole{token.Role(m.Name), policy})
		}
	}
	return all, nil
}

// readTokens are the paths of a Vault policy that issue the part's Consul tokens.
func (p Part) readTokens(m Machine) string {
	var paths []string
	for _, token := range p.Tokens {
		comment := ""
		if token.Why != "" {
			comment = "# " + token.Why + ".\n"
		}
		paths = append(paths, fmt.Sprintf("%spath %q {\n  capabilities = [\"read\"]\n}", comment, names.ConsulCreds(token.Role(m.Name))))
	}
	return strings.Join(paths, "\n\n")
}

// issueCertificates are the paths of a Vault policy that issue the part's certificates, with the parameters that the machine asks
// with and no others: another would give it a certificate that outlives its role's lifetime, or has another machine's address.
func (p Part) issueCertificates(c Cluster, m Machine) string {
	var paths []string
	for _, certificate := range p.Certificates {
		var allowed strings.Builder
		for _, parameter := range certificate.Request(c, m) {
			fmt.Fprintf(&allowed, "    %q = [%q]\n", parameter.Name, parameter.Value)
		}
		paths = append(paths, fmt.Sprintf("path %q {\n  capabilities = [\"create\", \"update\"]\n\n  # Its own names and addresses, and no lifetime but the role's.\n  allowed_parameters = {\n%s  }\n}",
			names.Issue(certificate.Authority, certificate.Role), &allowed))
	}
	return strings.Join(paths, "\n\n")
}

func (parts Parts) announced() []Announcement {
	var all []Announcement
	for _, part := range parts {
		all = append(all, part.Announces...)
	}
	return all
}

// holds tells whether the part's folder has a file or a folder.
func (p Part) holds(name string) bool {
	if p.FS == nil {
		return false
	}
	_, err := fs.Stat(p.FS, name)
	return err == nil
}

// TokenRole is what issues a Consul token of a machine: a role of Vault's Consul engine, and the policy in Consul that its tokens have.
type TokenRole struct{ Role, Policy string }

// VaultPolicy is what a machine with these parts may do in Vault. The order of the roles in the configuration makes no
// difference to it.
func (parts Parts) VaultPolicy(c Cluster, m Machine) (string, error) {
	sorted := slices.SortedFunc(slices.Values(parts), func(a, b Part) int { return cmp.Compare(a.Name, b.Name) })
	var policies []string
	for _, part := range sorted {
		const file = "vault.hcl"
		if !part.holds("policies/" + file) {
			continue // it needs nothing of Vault
		}
		policy, err := part.policy(file, c, m, parts)
		if err != nil {
			return "", err
		}
		policies = append(policies, policy)
	}
	return strings.Join(policies, "\n"), nil
}

// policy renders a file of policies/. Between [[ ]] it has
//
//	machine          the machine's name
//	certificates     what lets the machine get the part's certificates, with its own names and addresses
//	tokens           what lets the machine get the part's Consul tokens
//	gossip PRODUCT   the path of a product's gossip key
//	introduction     the path of what introduces the machine to Nomad
//	lock             the prefix of the lock that Nomad's servers restart under
//	announced        the services that agents register with their own token
//	reserved NAME... the services of the platform but for those named
func (p Part) policy(file string, c Cluster, m Machine, all Parts) (string, error) {
	for _, text := range quoted(c, m) {
		if err := checkQuoted(text.value); err != nil {
			return "", fmt.Errorf("policy %s of part %s: %s is %w", file, p.Name, text.name, err)
		}
	}
	parsed, err := template.New(file[strings.LastIndex(file, "/")+1:]).Delims("[[", "]]").Funcs(template.FuncMap{
		"machine":      func() string { return m.Name },
		"certificates": func() string { return p.issueCertificates(c, m) },
		"tokens":       func() string { return p.readTokens(m) },
		"gossip": func(product string) (string, error) {
			secret, ok := map[string]string{"consul": names.GossipConsul, "nomad": names.GossipNomad}[product]
			if !ok {
				return "", fmt.Errorf("there is no gossip key of %s", product)
			}
			return names.PlatformData(secret), nil
		},
		"introduction": func() string { return names.PlatformData(names.Introduction(m.Name)) },
		"lock":         func() string { return names.NomadRestartLock },
		"announced":    all.announced,
		"reserved": func(but ...string) []string {
			return slices.DeleteFunc(names.PlatformServices(), func(service string) bool { return slices.Contains(but, service) })
		},
	}).ParseFS(p.FS, "policies/"+file)
	if err != nil {
		return "", fmt.Errorf("read policy %s of part %s: %w", file, p.Name, err)
	}
	var b strings.Builder
	if err := parsed.Execute(&b, nil); err != nil {
		return "", fmt.Errorf("fill in policy %s of part %s: %w", file, p.Name, err)
	}
	return b.String(), nil
}
