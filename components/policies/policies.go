// Package policies holds the ACL policies of Vault, Consul and Nomad for people and for what runs on the platform. They are
// written by hand, one file each, and say at their head what they are for and which parameters they take. Policies of
// machines are with the machines' parts, in internal/machine/parts.
package policies

import (
	"embed"
	"fmt"
	"strings"
	"text/template"

	"hashistack/internal/names"
)

//go:embed vault/*.hcl consul/*.hcl nomad/*.hcl
var files embed.FS

// Workloads are the parameters of what workloads on Nomad, and those who deploy them, may do in Vault.
type Workloads struct {
	Accessor string // of the auth method that workload identities log in through
	Mount    string // of the key-value store with the secrets of workloads
}

// Vault returns Vault's policy of that name.
func Vault(name string, params any) (string, error) { return render("vault", name, params) }

// Consul returns the rules of Consul's ACL policy of that name.
func Consul(name string) (string, error) { return render("consul", name, nil) }

// Nomad returns the rules of Nomad's ACL policy of that name.
func Nomad(name string) (string, error) { return render("nomad", name, nil) }

// render fills in a policy's parameters, between [[ ]] because {{ }} is Vault's own.
func render(product, name string, params any) (string, error) {
	file := product + "/" + name + ".hcl"
	policy, err := template.New(name+".hcl").Delims("[[", "]]").Option("missingkey=error").Funcs(template.FuncMap{
		"consulCreds": names.ConsulCreds, // the path that issues a Consul token of a role
		"nomadCreds":  names.NomadCreds,  // the path that issues a Nomad token of a role
		"deployer":    func() string { return names.Deployer },
		"management":  func() string { return names.Management },
		"appRole":     func() string { return names.AppRole }, // the mount of machines' logins
	}).ParseFS(files, file)
	if err != nil {
		return "", fmt.Errorf("read policy %s: %w", file, err)
	}
	var b strings.Builder
	if err := policy.Execute(&b, params); err != nil {
		return "", fmt.Errorf("fill in policy %s: %w", file, err)
	}
	return b.String(), nil
}
