package machine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// The configuration has been checked before a machine is made of it. What follows is the second line: these texts end up in
// files in which a wrong one would do more than be wrong. Each is refused here whatever let it through.

// field is a text of a machine, by the name that it has in this package.
type field struct{ name, value string }

// needed are the texts that no machine can do without, but for the root's certificate, which has lines.
func needed(c Cluster, m Machine) []field {
	return []field{
		{"Cluster.Datacenter", c.Datacenter},
		{"Cluster.Region", c.Region},
		{"Cluster.Packages.Consul", c.Packages.Consul},
		{"Cluster.Packages.Nomad", c.Packages.Nomad},
		{"Cluster.Packages.Vault", c.Packages.Vault},
		{"Cluster.Packages.ConsulTemplate", c.Packages.ConsulTemplate},
		{"Machine.Name", m.Name},
		{"Machine.Pool", m.Pool},
		{"Machine.RoleID", m.RoleID},
		{"Machine.SecretID", m.SecretID},
	}
}

// texts are what the files of a machine are made of, but for the certificates and keys, which have lines.
func texts(c Cluster, m Machine) []field {
	all := append(needed(c, m),
		field{"Cluster.Packages.Repository", c.Packages.Repository},
		field{"Machine.NodePool", m.NodePool},
	)
	for _, role := range slices.Sorted(maps.Keys(c.Servers)) {
		for i, peer := range c.Servers[role] {
			all = append(all, field{fmt.Sprintf("Cluster.Servers[%q][%d].Name", role, i), peer.Name})
		}
	}
	all = append(all, entries("Machine.Meta", m.Meta)...)
	if c.Seal != nil {
		all = append(all, entries("Cluster.Seal.Parameters", c.Seal.Parameters)...)
	}
	return all
}

func entries(name string, of map[string]string) []field {
	var all []field
	for _, key := range slices.Sorted(maps.Keys(of)) {
		at := fmt.Sprintf("%s[%q]", name, key)
		all = append(all, field{"the key of " + at, key}, field{at, of[key]})
	}
	return all
}

// unsafe says what a text could do in a file of a machine; empty if nothing.
func unsafe(value string) string {
	switch {
	case strings.ContainsFunc(value, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }):
		return "a newline or another control character: what follows could be a line of its own"
	case strings.Contains(value, "{{") || strings.Contains(value, "}}"):
		return "{{ or }}: consul-template would take it for an action"
	}
	return ""
}

// inSource are the characters that mean something in a line of apt's sources: they end a word, or begin options, a comment or
// something to fill in.
const inSource = " []#$\"'"

// inQuotes are the characters that end a text where templates and policies quote it, or make a pattern of it there.
const inQuotes = "\"`\\*"

// checkTexts reports the texts that could do more in a file of a machine than stand there. They may be secrets, so the problem
// does not show them.
func checkTexts(c Cluster, m Machine, problem func(format string, args ...any)) {
	for _, text := range texts(c, m) {
		if why := unsafe(text.value); why != "" {
			problem("%s has %s", text.name, why)
		}
	}
	if strings.ContainsAny(c.Packages.Repository, inSource) {
		problem("Cluster.Packages.Repository is %q: the address stands in a line of apt's sources, and must have none of the characters %s",
			c.Packages.Repository, inSource)
	}
	for _, text := range quoted(c, m) {
		if unsafe(text.value) == "" && checkQuoted(text.value) != nil { // the unsafe ones are reported above
			problem("%s is %w", text.name, checkQuoted(text.value))
		}
	}
}

// quoted are the texts that stand in quotes.
func quoted(c Cluster, m Machine) []field {
	return []field{{"Cluster.Datacenter", c.Datacenter}, {"Cluster.Region", c.Region}, {"Machine.Name", m.Name}, {"Machine.Pool", m.Pool}}
}

// checkQuoted refuses what would be more than itself in quotes.
func checkQuoted(value string) error {
	if unsafe(value) != "" || strings.ContainsAny(value, inQuotes) {
		return fmt.Errorf("%q, which cannot stand in a template or a policy: it must have no quotes, backslashes, asterisks, newlines or {{ }}", value)
	}
	return nil
}
