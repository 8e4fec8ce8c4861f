// Package policies holds the ACL policies of Vault, Consul and Nomad. They are written by hand, one file each, and say
// at their head what they are for and which parameters they take.
package policies

import (
	"embed"
	"fmt"
	"slices"
	"strings"
	"text/template"

	"hashistack/internal/machine"
)

//go:embed vault/*.hcl consul/*.hcl nomad/*.hcl
var files embed.FS

// Pool are the parameters of policies that differ between pools.
type Pool struct {
	Pool string // name of the pool
}

// Workloads are the parameters of what workloads on Nomad, and those who deploy them, may do in Vault.
type Workloads struct {
	Accessor string // of the auth method that workload identities log in through
	Mount    string // of the key-value store with the secrets of workloads
}

// Vault returns Vault's policy of that name.
func Vault(name string, params any) (string, error) { return render("vault", name, params) }

// Consul returns the rules of Consul's ACL policy of that name.
func Consul(name string, params any) (string, error) { return render("consul", name, params) }

// Nomad returns the rules of Nomad's ACL policy of that name.
func Nomad(name string, params any) (string, error) { return render("nomad", name, params) }

// Machine returns what the machines of a pool may do in Vault: what every machine may, and what each of their roles
// needs.
func Machine(pool string, roles []machine.Role) (string, error) {
	names := []string{"machine"}
	for _, role := range slices.Sorted(slices.Values(roles)) { // the order in the config is no change of the policy
		names = append(names, string(role))
	}
	var b strings.Builder
	for _, name := range names {
		policy, err := Vault(name, Pool{pool})
		if err != nil {
			return "", fmt.Errorf("policy of pool %s: %w", pool, err)
		}
		b.WriteString(policy)
		b.WriteString("\n")
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// render fills in a policy's parameters, between [[ ]] because {{ }} is Vault's own.
func render(product, name string, params any) (string, error) {
	file := product + "/" + name + ".hcl"
	policy, err := template.New(name+".hcl").Delims("[[", "]]").Option("missingkey=error").ParseFS(files, file)
	if err != nil {
		return "", fmt.Errorf("read policy %s: %w", file, err)
	}
	var b strings.Builder
	if err := policy.Execute(&b, params); err != nil {
		return "", fmt.Errorf("fill in policy %s: %w", file, err)
	}
	return b.String(), nil
}
