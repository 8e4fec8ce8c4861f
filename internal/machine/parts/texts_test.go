package parts

import (
	"testing"

	"github.com/stretchr/testify/require"

	"hashistack/internal/machine"
)

// fields are the texts of a machine that come from the configuration, each with a good value.
var fields = map[string]struct {
	set  func(*kind, string)
	good string
}{
	"Cluster.Datacenter":                   {func(k *kind, s string) { k.Datacenter = s }, "nbg1"},
	"Cluster.Region":                       {func(k *kind, s string) { k.Region = s }, "eu-west"},
	"Cluster.Packages.Repository":          {func(k *kind, s string) { k.Packages.Repository = s }, "https://packages.example:8443/hashicorp"},
	"Cluster.Packages.Consul":              {func(k *kind, s string) { k.Packages.Consul = s }, "1.22.3+ent-1"},
	"Cluster.Packages.Nomad":               {func(k *kind, s string) { k.Packages.Nomad = s }, "1:1.11.3-1"},
	"Cluster.Packages.Vault":               {func(k *kind, s string) { k.Packages.Vault = s }, "1.21.0-1"},
	"Cluster.Packages.ConsulTemplate":      {func(k *kind, s string) { k.Packages.ConsulTemplate = s }, "0.41.1-1"},
	"Machine.Name":                         {func(k *kind, s string) { k.Name, k.Servers[machine.RoleVault][1].Name = s, s }, "server-2"},
	"Machine.Pool":                         {func(k *kind, s string) { k.Pool = s }, "server-big"},
	"Machine.NodePool":                     {func(k *kind, s string) { k.NodePool = s }, "gpu_nodes"},
	"Machine.RoleID":                       {func(k *kind, s string) { k.RoleID = s }, "33333333-role-id"},
	"Machine.SecretID":                     {func(k *kind, s string) { k.SecretID = s }, "44444444-secret-id"},
	`Cluster.Servers["vault"][0].Name`:     {func(k *kind, s string) { k.Servers[machine.RoleVault][0].Name = s }, "vault-1"},
	`Machine.Meta["disk"]`:                 {func(k *kind, s string) { k.Meta = map[string]string{"disk": s} }, "fast & large"},
	`Cluster.Seal.Parameters["token"]`:     {func(k *kind, s string) { seal(k, "token", s) }, `s3cret"\'[]`},
	`the key of Cluster.Seal.Parameters["`: {func(k *kind, s string) { seal(k, s, "a-token") }, "token"},
	`the key of Machine.Meta["`:            {func(k *kind, s string) { k.Meta = map[string]string{s: "fast"} }, "disk.type"},
}

func seal(k *kind, key, value string) {
	k.Seal = &machine.Seal{Type: "transit", Parameters: map[string]string{key: value}}
}

// Whatever the configuration's patterns let through: no text becomes a line of its own or an action of consul-template.
func TestTextsThatAreMoreThanText(t *testing.T) {
	for name, field := range fields {
		t.Run(name, func(t *testing.T) {
			good := kinds(t)["server"]
			field.set(&good, field.good)
			_, _, err := good.parts().UserData(good.Cluster, good.Machine)
			require.NoError(t, err)

			for bad, want := range map[string]string{
				field.good + "\ndeb [trusted=yes] http://evil.example x": "has a newline or another control character",
				field.good + "\n":              "has a newline",
				field.good + "\r":              "has a newline",
				field.good + "\x00":            "has a newline",
				field.good + "\x1b[2J":         "has a newline",
				field.good + "\u0085":          "has a newline",
				field.good + "\u2028":          "has a newline",
				field.good + `{{ key "secret"`: "has {{ or }}: consul-template would take it for an action",
				field.good + "}}":              "has {{ or }}",
			} {
				k := kinds(t)["server"]
				field.set(&k, bad)
				_, _, err := k.parts().UserData(k.Cluster, k.Machine)
				require.ErrorContains(t, err, name, "%q", bad)
				require.ErrorContains(t, err, want, "%q", bad)
			}
		})
	}
}

// What would end a quoted text, or a word of a line of apt's sources.
func TestTextsThatEndWhereTheyStand(t *testing.T) {
	for name, bad := range map[string][]string{
		"Cluster.Datacenter":          {`fsn1"`, "fsn1`", `fsn1\`},
		"Cluster.Region":              {`global"`, "global`", `global\`},
		"Machine.Pool":                {`server"`, "server`", `server\`},
		"Cluster.Packages.Repository": {"https://a.example bookworm", "https://[trusted=yes]", "https://a.example/#", "https://a.example/$KEY_FILE"},
	} {
		for _, value := range bad {
			k := kinds(t)["server"]
			fields[name].set(&k, value)
			_, _, err := k.parts().UserData(k.Cluster, k.Machine)
			require.ErrorContains(t, err, name+" is ", "%q", value)
		}
	}
}

// A policy is rendered for a machine whose texts stand in it as they are, and for no other.
func TestTextsInPolicies(t *testing.T) {
	parts := Of(machine.AllRoles())
	k := kinds(t)["server"]
	_, err := parts.VaultPolicy(k.Cluster, k.Machine)
	require.NoError(t, err)
	_, err = parts.Tokens(k.Cluster, k.Machine)
	require.NoError(t, err)
	for _, name := range []string{"Machine.Name", "Machine.Pool", "Cluster.Datacenter", "Cluster.Region"} {
		for _, value := range []string{`a" { policy = "write" } #`, "a\n", "a`", `a\`, "a*", "a{{identity.entity.id}}"} {
			k := kinds(t)["server"]
			fields[name].set(&k, value)
			_, err := parts.VaultPolicy(k.Cluster, k.Machine)
			require.ErrorContains(t, err, name+" is ", "%q", value)
			require.ErrorContains(t, err, "cannot stand in a template or a policy", "%q", value)
			_, err = parts.Tokens(k.Cluster, k.Machine)
			require.ErrorContains(t, err, "cannot stand in a template or a policy", "%q", value)
		}
	}
}
