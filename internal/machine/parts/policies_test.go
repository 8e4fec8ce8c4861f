package parts

import (
	"io/fs"
	"maps"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/internal/machine"
	"hashistack/internal/machine/parts/access"
	"hashistack/internal/names"
	"hashistack/internal/policytest"
)

// someMachine is a machine of which any part could be one, and someCluster its cluster.
var (
	someCluster = machine.Cluster{Datacenter: "fsn1", Region: "global"}
	someMachine = machine.Machine{Name: "some-1", Pool: "some", Private: netip.MustParseAddr("10.0.1.10"), Public: netip.MustParseAddr("198.18.0.10")}
)

func TestPoliciesUseWordsThatTheirProductKnows(t *testing.T) {
	for _, part := range All() {
		t.Run(part.Name, func(t *testing.T) {
			alone := machine.Parts{part}
			policy, err := alone.VaultPolicy(someCluster, someMachine)
			require.NoError(t, err)
			if policy != "" {
				policytest.Check(t, "vault", "vault.hcl", policy)
			}
			tokens, err := alone.Tokens(someCluster, someMachine)
			require.NoError(t, err)
			for _, token := range tokens {
				policytest.Check(t, "consul", token.Role, token.Policy)
			}
			// Every file is one that a machine's policy or a token is made of.
			var files []string
			if part.FS != nil {
				files, err = fs.Glob(part.FS, "policies/consul/*.hcl")
				require.NoError(t, err)
			}
			assert.Len(t, files, len(part.Tokens), "policies of tokens: %v", files)
			for _, token := range part.Tokens {
				assert.Contains(t, files, path.Join("policies/consul", token.Name+".hcl"))
			}
		})
	}
}

// A part's policy lets its machines get the certificates and tokens that the part declares, and nothing else of that kind.
func TestPartsMayGetWhatTheyDeclare(t *testing.T) {
	for _, part := range All() {
		t.Run(part.Name, func(t *testing.T) {
			policy, err := machine.Parts{part}.VaultPolicy(someCluster, someMachine)
			require.NoError(t, err)
			var want, got []string
			for _, c := range part.Certificates {
				want = append(want, names.Issue(c.Authority, c.Role))
			}
			for _, token := range part.Tokens {
				want = append(want, names.ConsulCreds(token.Role(someMachine.Name)))
			}
			for path := range policytest.Capabilities(t, part.Name, policy) {
				if strings.Contains(path, "/issue/") || strings.Contains(path, "/creds/") {
					got = append(got, path)
				}
			}
			assert.ElementsMatch(t, want, got)
		})
	}
}

func TestAPolicyNamesOnlyWhatThereIs(t *testing.T) {
	for text, want := range map[string]string{
		`path "[[ gossip "vault" ]]" {}`: "no gossip key of vault",
	} {
		files := fstest.MapFS{"policies/vault.hcl": {Data: []byte(text)}}
		_, err := machine.Parts{{Name: "mine", FS: files}}.VaultPolicy(someCluster, someMachine)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "policy vault.hcl of part mine")
	}
}

// What consul-template asks for on a machine is what its policy allows, besides its own login and the leases that it has.
// The golden file shows the policies.
func TestMachineMayGetWhatItNeeds(t *testing.T) {
	read := regexp.MustCompile("(secret|pkiCert) [\"`]([^\"`]+)[\"`]")
	capability := map[string]string{"secret": "read", "pkiCert": "update"}
	for name, k := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			want := map[string]string{
				"auth/token/lookup-self": "read",
				"auth/token/renew-self":  "update",
				"sys/leases/renew":       "update",
				"sys/leases/lookup":      "update",
			}
			for _, file := range k.config(t).WriteFiles {
				if !strings.HasSuffix(file.Path, ".ctmpl") {
					continue
				}
				asks := read.FindAllStringSubmatch(file.Content, -1)
				assert.NotEmpty(t, asks, file.Path)
				for _, ask := range asks {
					want[ask[2]] = capability[ask[1]]
				}
			}
			// An agent that is a server presents the server's certificate. It may get a client's as well, which opens less.
			for path := range maps.Clone(want) {
				if client := strings.TrimSuffix(path, "server") + "client"; client == "pki-consul/issue/client" ||
					client == "pki-nomad/issue/client" && slices.Contains(k.Roles, machine.RoleNomadClient) {
					want[client] = "update"
				}
			}
			policy, err := k.parts().VaultPolicy(k.Cluster, k.Machine)
			require.NoError(t, err)
			got := policytest.Capabilities(t, "machine", policy)
			for path, capability := range want {
				assert.Contains(t, got[path], capability, path)
			}
			assert.ElementsMatch(t, slices.Collect(maps.Keys(want)), slices.Collect(maps.Keys(got)), "the policy allows more or less than is asked for")
		})
	}
}

// Beside what a role may get stands what it may not: what would let its machines pass for another kind.
func TestMachineMayNotGetWhatOthersNeed(t *testing.T) {
	const (
		vaultServer  = "pki-vault/issue/server"
		consulServer = "pki-consul/issue/server"
		nomadServer  = "pki-nomad/issue/server"
		gossipNomad  = "platform/data/gossip/nomad"
	)
	for role, refused := range map[machine.Role][]string{
		machine.RoleVault:        {consulServer, nomadServer, gossipNomad, "consul/creds/nomad-server", "consul/creds/nomad-client"},
		machine.RoleConsulServer: {vaultServer, nomadServer, gossipNomad, "consul/creds/registration", "consul/creds/nomad-server"},
		machine.RoleNomadServer:  {vaultServer, consulServer, "consul/creds/registration"},
		machine.RoleNomadClient:  {vaultServer, consulServer, nomadServer, gossipNomad, "consul/creds/nomad-server"},
	} {
		policy, err := Of([]machine.Role{role}).VaultPolicy(someCluster, someMachine)
		require.NoError(t, err)
		got := policytest.Capabilities(t, "machine", policy)
		for _, path := range append(refused, "consul/creds/management", "nomad/creds/management", "consul/creds/agent-other") {
			assert.NotContains(t, got, path, "a machine with the role %s", role)
		}
		for path := range got {
			assert.NotContains(t, path, "*", "%s would widen as things are added", path)
		}
	}
}

func TestMachinePolicyDoesNotDependOnTheOrderOfRoles(t *testing.T) {
	roles := machine.AllRoles()
	one, err := Of(roles).VaultPolicy(someCluster, someMachine)
	require.NoError(t, err)
	slices.Reverse(roles)
	other, err := Of(roles).VaultPolicy(someCluster, someMachine)
	require.NoError(t, err)
	assert.Equal(t, one, other)
}

// What an agent registers with its own token is what the token's policy lets it register.
func TestAgentsMayRegisterWhatIsAnnounced(t *testing.T) {
	var want, got []string
	for _, part := range All() {
		for _, announced := range part.Announces {
			want = append(want, announced.Name)
		}
	}
	tokens, err := All().Tokens(someCluster, someMachine)
	require.NoError(t, err)
	i := slices.IndexFunc(tokens, func(token machine.TokenRole) bool { return token.Role == access.AgentToken.Role(someMachine.Name) })
	require.GreaterOrEqual(t, i, 0)
	for _, block := range policytest.Parse(t, "agent.hcl", tokens[i].Policy).Blocks {
		if block.Type == "service" {
			got = append(got, block.Labels[0])
		}
	}
	assert.ElementsMatch(t, want, got)
	// And it is what machines do register with that token.
	for _, k := range kinds(t) {
		var registered []string
		for _, part := range k.parts() {
			if part.On == nil {
				continue
			}
			for _, service := range part.On(k.Cluster, k.Machine).Services {
				if service.Token == access.TokenInJSON(access.AgentToken, k.Machine) {
					registered = append(registered, service.Name)
				}
			}
		}
		assert.Subset(t, want, registered)
	}
}

// A machine asks for certificates with its own names and addresses, and may ask for no others.
func TestCertificatesAreTheMachinesOwn(t *testing.T) {
	type parameters = map[string][]string
	for role, want := range map[machine.Role]map[string]parameters{
		machine.RoleVault: {"pki-vault/issue/server": {
			"common_name": {names.VaultName}, "alt_names": {"vault.service.consul,localhost"},
			"ip_sans": {"127.0.0.1,10.0.1.10,198.18.0.10"},
		}},
		machine.RoleNomadClient: {"pki-nomad/issue/client": {"common_name": {"client.global.nomad"}, "alt_names": {"localhost"}}},
	} {
		policy, err := Of([]machine.Role{role}).VaultPolicy(someCluster, someMachine)
		require.NoError(t, err)
		for path, parameters := range want {
			assert.Equal(t, parameters, policytest.Parameters(t, "machine", policy)[path], path)
		}
	}
}

// What consul-template asks with on a machine is what the machine's policy allows, to the letter: Vault compares texts.
func TestMachineMayAskAsItDoes(t *testing.T) {
	ask := regexp.MustCompile(`pkiCert "([^"]+)"((?: "[^"]*")+)`)
	parameter := regexp.MustCompile(`"([^=]+)=([^"]*)"`)
	for name, k := range kinds(t) {
		policy, err := k.parts().VaultPolicy(k.Cluster, k.Machine)
		require.NoError(t, err)
		allowed := policytest.Parameters(t, name, policy)
		asked := 0
		for _, file := range k.config(t).WriteFiles {
			for _, found := range ask.FindAllStringSubmatch(file.Content, -1) {
				with := map[string][]string{}
				for _, p := range parameter.FindAllStringSubmatch(found[2], -1) {
					with[p[1]] = []string{p[2]}
				}
				assert.Equal(t, allowed[found[1]], with, "%s of %s", found[1], name)
				asked++
			}
		}
		assert.Positive(t, asked)
	}
}

// No machine but one of the product may speak for a service of the platform.
func TestServicesOfThePlatformAreNotForClients(t *testing.T) {
	for role, own := range map[machine.Role][]string{
		machine.RoleNomadClient: {"nomad-client"}, machine.RoleNomadServer: {"nomad", "nomad-client"},
	} {
		tokens, err := Of([]machine.Role{role}).Tokens(someCluster, someMachine)
		require.NoError(t, err)
		for _, token := range tokens {
			if !strings.HasPrefix(token.Role, "nomad-") {
				continue
			}
			read := map[string]bool{}
			for _, block := range policytest.Parse(t, token.Role, token.Policy).Blocks {
				if block.Type == "service" {
					read[block.Labels[0]] = true
				}
			}
			for _, service := range names.PlatformServices() {
				assert.Equal(t, !slices.Contains(own, service), read[service], "%s is for reading only to a machine with the role %s", service, role)
			}
		}
	}
}
