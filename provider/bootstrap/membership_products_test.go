//go:build products

package bootstrap

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// site is three machines, each with a server of every product.
type site struct {
	subject
	ca                   authority
	vault, consul, nomad []*product
	inputs               map[string]any
	created              []p.CreateResponse // the memberships, by machine
	observed             *member
}

func newSite(t *testing.T) *site {
	t.Helper()
	ca := newAuthority(t)
	s := &site{
		subject: newSubject(t.Context(), t, "Membership", ""), ca: ca,
		vault: startVault(t, ca, 3, nil), consul: startConsul(t, ca, 3), nomad: startNomad(t, ca, 3),
	}
	initialised := newSubject(t.Context(), t, "VaultInit", "vault").mustCreate(initInputs(ca, s.vault))
	keys := initialised.Properties.Get("unsealKeys")
	var all sync.WaitGroup
	for i := range s.vault {
		all.Go(func() {
			_, err := newSubject(t.Context(), t, "VaultUnseal", "unseal").create(unsealInputs(ca, s.vault, i, keys))
			assert.NoError(t, err)
		})
	}
	all.Go(func() {
		_, err := newSubject(t.Context(), t, "ConsulBootstrap", "consul").create(aclInputs(ca, s.consul))
		assert.NoError(t, err)
	})
	all.Go(func() {
		_, err := newSubject(t.Context(), t, "NomadBootstrap", "nomad").create(aclInputs(ca, s.nomad))
		assert.NoError(t, err)
	})
	all.Wait()
	s.inputs = map[string]any{
		"roles": []any{"vault", "consul-server", "nomad-server"}, "lane": "servers", "region": "global",
		"vaultNodes": nodes(addresses(s.vault)...), "vaultToken": initialised.Properties.Get("rootToken").AsString(),
		"unsealKeys":  unsealInputs(ca, s.vault, 0, keys)["keys"],
		"consulNodes": nodes(addresses(s.consul)...), "consulToken": secret,
		"nomadNodes": nodes(addresses(s.nomad)...), "nomadToken": secret,
		"caPem": ca.pem, "timeout": "90s",
	}
	s.observed = s.observer(t)
	return s
}

// of is the membership of machine i, counted from 0, and its inputs.
func (s *site) of(i int) (subject, map[string]any) {
	name := fmt.Sprintf("server-%d", i+1)
	one := s.subject
	one.urn = resource.NewURN("test", "test", "", tokens.Type("hashistack:index:Membership"), name)
	return one, with(with(s.inputs, "machine", name), "machineId", fmt.Sprint(i+1))
}

func (s *site) join(t *testing.T) {
	t.Helper()
	s.created = make([]p.CreateResponse, 3)
	var all sync.WaitGroup
	for i := range s.created {
		all.Go(func() {
			subject, inputs := s.of(i)
			var err error
			s.created[i], err = subject.create(inputs)
			assert.NoError(t, err)
		})
	}
	all.Wait()
	require.False(t, t.Failed())
}

// replaces asks for the difference as Pulumi does before it deletes the membership of a machine that will be another.
func (s *site) replaces(t *testing.T, i int) {
	t.Helper()
	subject, inputs := s.of(i)
	old := subject.checked(inputs)
	diff, err := subject.server.Diff(p.DiffRequest{
		ID: s.created[i].ID, Urn: subject.urn, State: s.created[i].Properties, OldInputs: old,
		Inputs: old.Set("machineId", property.New(property.Computed)),
	})
	require.NoError(t, err)
	assert.True(t, diff.DeleteBeforeReplace)
	assert.Equal(t, p.UpdateReplace, diff.DetailedDiff["machineId"].Kind)
}

func (s *site) leave(i int) error {
	subject, _ := s.of(i)
	return subject.server.Delete(p.DeleteRequest{ID: s.created[i].ID, Urn: subject.urn, Properties: s.created[i].Properties})
}

// observer is a member that is asked what the clusters look like.
func (s *site) observer(t *testing.T) *member {
	t.Helper()
	state := MembershipState{MembershipArgs: MembershipArgs{
		Machine: "server-1", Region: "global", Roles: roles[:3], CaPem: s.ca.pem,
		ConsulToken: secret, NomadToken: secret, VaultToken: s.inputs["vaultToken"].(string),
	}}
	for i := range 3 {
		name := fmt.Sprintf("server-%d", i+1)
		state.VaultNodes = append(state.VaultNodes, Node{name, s.vault[i].address})
		state.ConsulNodes = append(state.ConsulNodes, Node{name, s.consul[i].address})
		state.NomadNodes = append(state.NomadNodes, Node{name, s.nomad[i].address})
	}
	m, err := newMember(state)
	require.NoError(t, err)
	return m
}

// voters are the healthy ones of each product.
func (s *site) voters(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, q := range s.observed.quorums {
		var err error
		if all[q.String()], err = q.healthy(t.Context()); err != nil {
			return nil // somebody is being elected
		}
	}
	return all
}

// machine stops or starts all servers of a machine.
func (s *site) machine(i int, do func(*product)) {
	for _, cluster := range [][]*product{s.consul, s.nomad, s.vault} {
		do(cluster[i])
	}
}

// A machine leaves, the next waits until another has taken its place, sealed Vault and all.
func TestMachinesTakeTurns(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.join(t)
	for _, name := range []string{"vaultToken", "consulToken", "nomadToken", "unsealKeys"} {
		assert.True(t, s.created[0].Properties.Get(name).Secret(), name)
	}
	subject, inputs := s.of(0)
	assert.Equal(t, s.created[0].Properties, subject.read(s.created[0], inputs).Properties, "a refresh must not show a difference")

	s.replaces(t, 2)
	s.replaces(t, 1)
	require.NoError(t, s.leave(2))
	two := []string{"server-1", "server-2"}
	eventually(t, "its votes are gone", func() bool {
		all := s.voters(t)
		return slices.Equal(all["Vault"], two) && slices.Equal(all["Consul"], two)
	})

	next := make(chan error, 1)
	go func() { next <- s.leave(1) }()
	s.machine(2, func(server *product) { server.stop(t) })
	eventually(t, "Nomad misses it too", func() bool { return slices.Equal(s.voters(t)["Nomad"], two) })
	select {
	case err := <-next:
		t.Fatalf("server-2 did not wait for server-3: %v", err)
	default:
	}
	s.machine(2, func(server *product) { server.restart(t, false) })
	require.NoError(t, <-next)
	eventually(t, "server-2 has left, and server-3 has its votes", func() bool {
		all := s.voters(t)
		return slices.Equal(all["Consul"], []string{"server-1", "server-3"}) && slices.Equal(all["Vault"], []string{"server-1", "server-3"})
	})
}

// Nobody leaves whom the others cannot do without; one whom they can leaves even when it does not answer.
func TestMachinesThatAreNeeded(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.join(t)
	s.machine(2, func(server *product) { server.stop(t) })
	eventually(t, "the others miss it", func() bool {
		all := s.voters(t)
		return len(all["Vault"]) == 2 && len(all["Consul"]) == 2 && len(all["Nomad"]) == 2
	})
	subject, inputs := s.of(0)
	hurried := subject.checked(inputs).Set("timeout", property.New("5s"))
	needed := p.DeleteRequest{ID: "server-1", Urn: subject.urn, Properties: hurried.Set("nodeId", property.New("an ID"))}
	err := subject.server.Delete(needed)
	require.Error(t, err)
	t.Log(err)
	assert.Regexp(t, `no machine has left or come back for 5s.*: \w+ cannot do without server-1: 2 others must be healthy voters, these are: server-2$`, err.Error())
	assert.NotContains(t, err.Error(), secret)
	assert.Len(t, s.voters(t)["Consul"], 2, "it did not leave")

	s.subject = newSubject(t.Context(), t, "Membership", "") // the next update
	began := time.Now()
	require.NoError(t, s.leave(2))
	t.Logf("left in %s, without an answer", time.Since(began).Round(time.Second))
	found, err := newConsulServer(Node{"server-1", s.consul[0].address}, s.ca.pem, secret)
	require.NoError(t, err)
	peers, err := found.voters(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 2, peers)
}

// The only server of a product takes all that it knows along.
func TestTheOnlyServerStays(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	consul := startConsul(t, ca, 1)
	newSubject(t.Context(), t, "ConsulBootstrap", "consul").mustCreate(aclInputs(ca, consul))
	subject := newSubject(t.Context(), t, "Membership", "server-1")
	nowhere := nodes("https://192.0.2.1:1")
	created := subject.mustCreate(map[string]any{
		"machine": "server-1", "machineId": "1", "roles": []any{"consul-server"}, "lane": "servers", "region": "global",
		"vaultNodes": nowhere, "vaultToken": "none", "consulNodes": nodes(addresses(consul)...), "consulToken": secret,
		"nomadNodes": nowhere, "nomadToken": "none", "caPem": ca.pem, "timeout": "60s",
	})
	err := subject.server.Delete(p.DeleteRequest{ID: created.ID, Urn: subject.urn, Properties: created.Properties})
	require.ErrorContains(t, err, "server-1 is the only server of Consul")
}
