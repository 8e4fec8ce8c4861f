package security

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	consul "github.com/hashicorp/consul/api"
	nomad "github.com/hashicorp/nomad/api"

	"hashistack/internal/names"
)

// byDefault is what Vault's policy default gives everybody but machines.
var byDefault = map[string][]string{
	"auth/token/lookup-self": {"read"},
	"auth/token/renew-self":  {"update"},
	"sys/leases/renew":       {"update"},
	"sys/leases/lookup":      {"update"},
}

// mayInVault is what each identity may do in Vault at paths that matter, by Vault's own word. What is not listed is denied.
var mayInVault = map[string]map[string][]string{
	"machine of pool client": {
		names.Issue(names.PKIConsul, names.PKIClient): {"create", "update"},
		names.Issue(names.PKINomad, names.PKIClient):  {"create", "update"},
		names.PlatformData(names.GossipConsul):        {"read"},
		"auth/token/lookup-self":                      {"read"},
		"auth/token/renew-self":                       {"update"},
		"sys/leases/renew":                            {"update"},
		"sys/leases/lookup":                           {"update"},
	},
	"machine of pool server": {
		names.Issue(names.PKIConsul, names.PKIClient): {"create", "update"},
		names.Issue(names.PKIConsul, names.PKIServer): {"create", "update"},
		names.Issue(names.PKINomad, names.PKIServer):  {"create", "update"},
		names.Issue(names.PKIVault, names.PKIServer):  {"create", "update"},
		names.PlatformData(names.GossipConsul):        {"read"},
		names.PlatformData(names.GossipNomad):         {"read"},
		"auth/token/lookup-self":                      {"read"},
		"auth/token/renew-self":                       {"update"},
		"sys/leases/renew":                            {"update"},
		"sys/leases/lookup":                           {"update"},
	},
	"task": {
		"secret/data/default/probe-own/config":     {"read"},
		"secret/metadata/default/probe-own/config": {"list"},
	},
	"deployer": {
		names.NomadCreds(names.Deployer):           {"read"},
		names.ConsulCreds(names.Deployer):          {"read"},
		"secret/data/default/probe-own/config":     {"create", "delete", "patch", "read", "update"},
		"secret/data/default/page/config":          {"create", "delete", "patch", "read", "update"},
		"secret/metadata/default/probe-own/config": {"list", "read"},
	},
	"operator's token": {
		names.NomadCreds(names.Management):    {"read"},
		names.ConsulCreds(names.Management):   {"read"},
		"auth/token/create/" + names.Deployer: {"create", "update"},
		"sys/mounts":                          {"read"},
		"sys/auth":                            {"read"},
		"sys/policies/acl/" + names.Deployer:  {"read"},
		"auth/" + names.AppRole + "/role":     {"list"},
		"sys/locked-users":                    {"read"},
		"sys/leases/lookup":                   {"update"},
		"sys/leases/revoke":                   {"update"},
	},
}

// mayOf is what an identity may do in Vault.
func mayOf(who string) map[string][]string {
	may := maps.Clone(mayInVault[who])
	if !strings.HasPrefix(who, "machine") {
		maps.Copy(may, byDefault)
	}
	return may
}

// pathsInVault are those that are asked about, for each identity.
func pathsInVault() []string {
	all := []string{
		"sys/mounts", "sys/policies/acl/" + names.Deployer, "sys/auth", "sys/audit", "sys/seal", "sys/raw/core",
		"sys/storage/raft/snapshot", "sys/tools/random",
		"auth/token/create", "auth/" + names.AppRole + "/role", "auth/" + names.NomadJWT + "/config", "identity/entity",
		names.Platform + "/config", names.PKIConsul + "/root/generate/internal", names.PKIConsul + "/sign/" + names.PKIServer,
		names.NomadCreds(names.Management), names.ConsulCreds(names.Management), names.ConsulEngine + "/config/access",
		names.NomadEngine + "/config/access",
		"secret/data/default/page/config", "secret/data/" + other + "/twin/config", "secret/metadata/default", "secret/config",
	}
	for _, may := range append(slices.Collect(maps.Values(mayInVault)), byDefault) {
		for path := range may {
			if !slices.Contains(all, path) {
				all = append(all, path)
			}
		}
	}
	slices.Sort(all)
	return all
}

// policies ask the products themselves what each identity may do.
func (w *world) policies(ctx context.Context) []Row {
	holders := map[string]token{
		"machine of pool client": w.fileOf(w.client, names.VaultToken),
		"machine of pool server": w.fileOf(w.server, names.VaultToken),
		"task":                   w.taskSecret("vault_token"),
		"deployer":               known(w.deployer.Vault),
		"operator's token":       known(w.operator.Vault),
	}
	var rows []Row
	for _, who := range []string{"machine of pool client", "machine of pool server", "task", "deployer", "operator's token"} {
		rows = append(rows, looked(who, "Vault: its capabilities are those of the table", func() (string, error) {
			return w.capabilities(ctx, holders[who], mayOf(who))
		}))
	}
	return append(rows,
		looked("deployer", "Nomad: its token has the policy deployer alone", func() (string, error) { return w.nomadSelf(ctx) }),
		looked("deployer", "Consul: its token has the policy deployer alone", func() (string, error) {
			return w.consulSelf(w.deployer.Consul, nil, []string{names.Deployer})
		}),
		looked("task", "Consul: its token has the role of its namespace alone", func() (string, error) {
			secret, err := w.taskSecret("consul_token")(ctx)
			if err != nil {
				return "", err
			}
			return w.consulSelf(secret, []string{"nomad-default-tasks"}, nil)
		}),
	)
}

// capabilities asks Vault what a token may do at each path. The stack's token asks: others are good from one address only.
func (w *world) capabilities(ctx context.Context, of token, may map[string][]string) (string, error) {
	secret, err := of(ctx)
	if err != nil {
		return "", err
	}
	client, err := w.outputs.Vault()
	if err != nil {
		return "", err
	}
	paths := pathsInVault()
	answer, err := client.Logical().WriteWithContext(ctx, "sys/capabilities", map[string]any{"token": secret, "paths": paths})
	if err != nil {
		return "", explained(err)
	}
	var problems []error
	for _, path := range paths {
		list, is := answer.Data[path].([]any)
		if !is {
			return "", fmt.Errorf("Vault says nothing of %s", path)
		}
		var found []string
		for _, capability := range list {
			found = append(found, fmt.Sprint(capability))
		}
		want := may[path]
		if want == nil {
			want = []string{"deny"}
		}
		slices.Sort(found)
		if !slices.Equal(found, want) {
			problems = append(problems, fmt.Errorf("%s: %v, not %v", path, found, want))
		}
	}
	return fmt.Sprintf("%d paths, %d of them open", len(paths), len(may)), errors.Join(problems...)
}

func (w *world) nomadSelf(ctx context.Context) (string, error) {
	self, _, err := w.nomad.ACLTokens().Self((&nomad.QueryOptions{AuthToken: w.deployer.Nomad}).WithContext(ctx))
	if err != nil {
		return "", err
	}
	seen := fmt.Sprintf("%s token with %v", self.Type, self.Policies)
	if self.Type != "client" || !slices.Equal(self.Policies, []string{names.Deployer}) || len(self.Roles) > 0 {
		return "", errors.New(seen)
	}
	return seen, nil
}

func (w *world) consulSelf(secret string, roles, policies []string) (string, error) {
	client, err := w.outputs.Consul()
	if err != nil {
		return "", err
	}
	self, _, err := client.ACL().TokenReadSelf(&consul.QueryOptions{Token: secret})
	if err != nil {
		return "", err
	}
	linked := func(links []*consul.ACLLink) (names []string) {
		for _, link := range links {
			names = append(names, link.Name)
		}
		return names
	}
	seen := fmt.Sprintf("roles %v, policies %v", linked(self.Roles), linked(self.Policies))
	others := len(self.ServiceIdentities) + len(self.NodeIdentities) + len(self.TemplatedPolicies)
	if !slices.Equal(linked(self.Roles), roles) || !slices.Equal(linked(self.Policies), policies) || others > 0 {
		return "", errors.New(strings.TrimSpace(seen))
	}
	return seen, nil
}
