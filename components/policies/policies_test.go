package policies

import (
	"io/fs"
	"path"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/internal/machine"
	"hashistack/internal/vaultpath"
)

// params are parameters for every policy.
var params = struct{ Pool, Accessor, Mount string }{"client", "auth_jwt_1234", "secret"}

func parse(t *testing.T, name, policy string) *hclsyntax.Body {
	t.Helper()
	file, diagnostics := hclparse.NewParser().ParseHCL([]byte(policy), name)
	require.False(t, diagnostics.HasErrors(), diagnostics.Error())
	return file.Body.(*hclsyntax.Body)
}

// capabilities are those of each path of a Vault policy.
func capabilities(t *testing.T, name, policy string) map[string][]string {
	t.Helper()
	paths := map[string][]string{}
	for _, block := range parse(t, name, policy).Blocks {
		require.Equal(t, "path", block.Type)
		require.Len(t, block.Labels, 1)
		assert.NotContains(t, paths, block.Labels[0], "a path stands twice in %s", name)
		attribute := block.Body.Attributes["capabilities"]
		require.NotNil(t, attribute, "%s has no capabilities", block.Labels[0])
		paths[block.Labels[0]] = texts(t, attribute)
	}
	return paths
}

func TestEveryPolicyParses(t *testing.T) {
	require.NoError(t, fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		t.Run(name, func(t *testing.T) {
			product := path.Dir(name)
			policy, err := render(product, strings.TrimSuffix(path.Base(name), ".hcl"), params)
			require.NoError(t, err)
			assert.NotContains(t, policy, "[[")
			body := parse(t, name, policy)
			assert.NotEmpty(t, body.Blocks)
			if product == "vault" {
				for path, capabilities := range capabilities(t, name, policy) {
					assert.NotContains(t, capabilities, "sudo", path)
					assert.NotEqual(t, "*", path)
				}
			}
		})
		return nil
	}))
}

// What consul-template asks for on a machine is what its policy allows, and what other machines ask for is not.
func TestMachineMayGetWhatItNeeds(t *testing.T) {
	certificates := func(mount, role string) string { return vaultpath.Issue(mount, role) }
	every := map[string]string{
		certificates(vaultpath.PKIConsul, vaultpath.PKIClient): "update",
		vaultpath.PlatformData(vaultpath.GossipConsul):         "read",
		vaultpath.ConsulCreds(vaultpath.AgentRole("pool")):     "read",
		vaultpath.ConsulCreds(vaultpath.ConsulDNS):             "read",
		"auth/token/lookup-self":                               "read",
		"auth/token/renew-self":                                "update",
		"sys/leases/renew":                                     "update",
		"sys/leases/lookup":                                    "update",
	}
	byRole := map[machine.Role]map[string]string{
		machine.RoleVault: {
			certificates(vaultpath.PKIVault, vaultpath.PKIServer): "update",
			vaultpath.ConsulCreds(vaultpath.ConsulRegistration):   "read",
		},
		machine.RoleConsulServer: {certificates(vaultpath.PKIConsul, vaultpath.PKIServer): "update"},
		machine.RoleNomadServer: {
			certificates(vaultpath.PKINomad, vaultpath.PKIServer): "update",
			vaultpath.PlatformData(vaultpath.GossipNomad):         "read",
			vaultpath.ConsulCreds(vaultpath.ConsulNomadServer):    "read",
		},
		machine.RoleNomadClient: {
			certificates(vaultpath.PKINomad, vaultpath.PKIClient): "update",
			vaultpath.ConsulCreds(vaultpath.ConsulNomadClient):    "read",
		},
	}
	for _, roles := range [][]machine.Role{
		{machine.RoleVault},
		{machine.RoleNomadClient},
		{machine.RoleNomadServer, machine.RoleConsulServer, machine.RoleVault},
		{machine.RoleVault, machine.RoleConsulServer, machine.RoleNomadServer, machine.RoleNomadClient},
	} {
		want := map[string]string{}
		for path, capability := range every {
			want[path] = capability
		}
		for _, role := range roles {
			for path, capability := range byRole[role] {
				want[path] = capability
			}
		}
		policy, err := Machine("pool", roles)
		require.NoError(t, err)
		got := capabilities(t, "machine", policy)
		for path, capability := range want {
			assert.Contains(t, got[path], capability, "%v: %s", roles, path)
		}
		assert.Len(t, got, len(want), "%v may do more or less than its machines need", roles)
	}
}

// Beside what a role may get stands what it may not: what would let its machines pass for another kind.
func TestMachineMayNotGetWhatOthersNeed(t *testing.T) {
	const (
		vaultServer  = vaultpath.PKIVault + "/issue/" + vaultpath.PKIServer
		consulServer = vaultpath.PKIConsul + "/issue/" + vaultpath.PKIServer
		nomadServer  = vaultpath.PKINomad + "/issue/" + vaultpath.PKIServer
		gossipNomad  = "platform/data/gossip/nomad"
	)
	for role, refused := range map[machine.Role][]string{
		machine.RoleVault:        {consulServer, nomadServer, gossipNomad, "consul/creds/nomad-server", "consul/creds/nomad-client"},
		machine.RoleConsulServer: {vaultServer, nomadServer, gossipNomad, "consul/creds/registration", "consul/creds/nomad-server"},
		machine.RoleNomadServer:  {vaultServer, consulServer, "consul/creds/registration"},
		machine.RoleNomadClient:  {vaultServer, consulServer, nomadServer, gossipNomad, "consul/creds/nomad-server"},
	} {
		policy, err := Machine("pool", []machine.Role{role})
		require.NoError(t, err)
		got := capabilities(t, "machine", policy)
		for _, path := range append(refused, "consul/creds/management", "nomad/creds/management", "consul/creds/agent-other") {
			assert.NotContains(t, got, path, "a machine with the role %s", role)
		}
		for path := range got {
			assert.NotContains(t, path, "*", "%s would widen as things are added", path)
		}
	}
}

// The products ignore or refuse what they do not know, but only once a policy is written to them.
func TestPoliciesUseWordsThatTheirProductKnows(t *testing.T) {
	blocks := map[string][]string{
		"vault":  {"path"},
		"consul": {"agent_prefix", "node_prefix", "service", "service_prefix", "query_prefix", "key_prefix", "session_prefix"},
		"nomad":  {"namespace", "node", "node_pool"},
	}
	attributes := map[string][]string{
		"vault":  {"capabilities"},
		"consul": {"policy", "intentions"},
		"nomad":  {"policy", "capabilities"},
	}
	words := map[string][]string{
		"vault":  {"create", "read", "update", "patch", "delete", "list"},
		"consul": {"read", "write"},
		"nomad": {
			"read", "list-jobs", "parse-job", "read-job", "submit-job", "dispatch-job", "scale-job", "read-job-scaling",
			"list-scaling-policies", "read-scaling-policy", "read-logs", "alloc-lifecycle",
		},
	}
	all, err := fs.Glob(files, "*/*.hcl")
	require.NoError(t, err)
	require.NotEmpty(t, all)
	for _, name := range all {
		t.Run(name, func(t *testing.T) {
			product := path.Dir(name)
			policy, err := render(product, strings.TrimSuffix(path.Base(name), ".hcl"), params)
			require.NoError(t, err)
			for attribute, value := range parse(t, name, policy).Attributes {
				assert.Equal(t, "mesh", attribute, "what a policy grants beyond nodes and services")
				assert.Equal(t, []string{"write"}, texts(t, value))
			}
			for _, block := range parse(t, name, policy).Blocks {
				assert.Contains(t, blocks[product], block.Type)
				for attribute, value := range block.Body.Attributes {
					assert.Contains(t, attributes[product], attribute)
					assert.Subset(t, words[product], texts(t, value))
				}
			}
		})
	}
}

// texts are the words of an attribute, be it a list or one.
func texts(t *testing.T, attribute *hclsyntax.Attribute) []string {
	t.Helper()
	value, diagnostics := attribute.Expr.Value(&hcl.EvalContext{})
	require.False(t, diagnostics.HasErrors(), diagnostics.Error())
	if !value.CanIterateElements() {
		return []string{value.AsString()}
	}
	words := []string{}
	for _, word := range value.AsValueSlice() {
		words = append(words, word.AsString())
	}
	return words
}

func TestMachinePolicyDoesNotDependOnTheOrderOfRoles(t *testing.T) {
	one, err := Machine("p", []machine.Role{machine.RoleVault, machine.RoleNomadServer})
	require.NoError(t, err)
	other, err := Machine("p", []machine.Role{machine.RoleNomadServer, machine.RoleVault})
	require.NoError(t, err)
	assert.Equal(t, one, other)
}

func TestWorkloadsReadTheirOwnSecretsOnly(t *testing.T) {
	policy, err := Vault("nomad-workloads", Workloads{Accessor: "auth_jwt_1", Mount: "secret"})
	require.NoError(t, err)
	own := "{{identity.entity.aliases.auth_jwt_1.metadata.nomad_namespace}}/{{identity.entity.aliases.auth_jwt_1.metadata.nomad_job_id}}"
	assert.Equal(t, map[string][]string{
		"secret/data/" + own:            {"read"},
		"secret/data/" + own + "/*":     {"read"},
		"secret/metadata/" + own + "/*": {"list"},
	}, capabilities(t, "nomad-workloads", policy))
}

func TestProblemsNameThePolicy(t *testing.T) {
	_, err := Vault("nobody", nil)
	require.ErrorContains(t, err, "vault/nobody.hcl")
	_, err = Consul("agent", nil)
	require.ErrorContains(t, err, "consul/agent.hcl")
	_, err = Vault("nomad-workloads", Pool{"p"})
	require.ErrorContains(t, err, "vault/nomad-workloads.hcl")
	_, err = Machine("p", []machine.Role{"king"})
	require.ErrorContains(t, err, "policy of pool p")
}
