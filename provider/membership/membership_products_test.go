//go:build products

package membership_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/provider/internal/api"
	"hashistack/provider/internal/cluster"
	"hashistack/provider/internal/rig"
	"hashistack/provider/membership"
)

// site is some machines, each with a server of every product.
type site struct {
	rig.Subject
	ca                   rig.Authority
	vault, consul, nomad []*rig.Product
	inputs               map[string]any
	created              []p.CreateResponse // the memberships, by machine
	observed             membership.Observer
}

func newSite(t *testing.T, machines int) *site {
	t.Helper()
	ca := rig.NewAuthority(t)
	s := &site{
		Subject: rig.New(t.Context(), t, "Membership", ""), ca: ca,
		vault: rig.StartVault(t, ca, machines, nil), consul: rig.StartConsul(t, ca, machines), nomad: rig.StartNomad(t, ca, machines),
	}
	initialised := rig.New(t.Context(), t, "VaultInit", "vault").MustCreate(rig.InitInputs(ca, s.vault))
	keys := initialised.Properties.Get("unsealKeys")
	var all sync.WaitGroup
	for i := range s.vault {
		all.Go(func() {
			_, err := rig.New(t.Context(), t, "VaultUnseal", "unseal").Create(rig.UnsealInputs(ca, s.vault, i, keys))
			assert.NoError(t, err)
		})
	}
	all.Go(func() {
		_, err := rig.New(t.Context(), t, "ConsulBootstrap", "consul").Create(rig.ACLInputs(ca, s.consul))
		assert.NoError(t, err)
	})
	all.Go(func() {
		_, err := rig.New(t.Context(), t, "NomadBootstrap", "nomad").Create(rig.ACLInputs(ca, s.nomad))
		assert.NoError(t, err)
	})
	all.Wait()
	rootToken := initialised.Properties.Get("rootToken").AsString()
	s.inputs = map[string]any{
		"lane": "servers", "region": "global", "timeout": "90s",
		"vault":      rig.ClusterWith(ca, rootToken, rig.Addresses(s.vault)...),
		"unsealKeys": rig.UnsealInputs(ca, s.vault, 0, keys)["keys"],
		"consul":     rig.ClusterWith(ca, rig.Secret, rig.Addresses(s.consul)...),
		"nomad":      rig.ClusterWith(ca, rig.Secret, rig.Addresses(s.nomad)...),
	}
	var err error
	s.observed, err = membership.Observe(s.cluster("vault", s.vault), s.cluster("consul", s.consul), s.cluster("nomad", s.nomad))
	require.NoError(t, err)
	return s
}

// of is the membership of machine i, counted from 0, and its inputs.
func (s *site) of(i int) (rig.Subject, map[string]any) {
	name := fmt.Sprintf("server-%d", i+1)
	return s.Of("Membership", name), rig.With(rig.With(s.inputs, "machine", name), "machineId", fmt.Sprint(i+1))
}

func (s *site) join(t *testing.T) {
	t.Helper()
	s.created = make([]p.CreateResponse, len(s.consul))
	var all sync.WaitGroup
	for i := range s.created {
		all.Go(func() {
			subject, inputs := s.of(i)
			var err error
			s.created[i], err = subject.Create(inputs)
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
	old := subject.Checked(inputs)
	diff, err := subject.Server.Diff(p.DiffRequest{
		ID: s.created[i].ID, Urn: subject.URN, State: s.created[i].Properties, OldInputs: old,
		Inputs: old.Set("machineId", property.New(property.Computed)),
	})
	require.NoError(t, err)
	assert.True(t, diff.DeleteBeforeReplace)
	assert.Equal(t, p.UpdateReplace, diff.DetailedDiff["machineId"].Kind)
}

func (s *site) leave(i int) error { return s.leaveWith(i, s.created[i].Properties) }

func (s *site) leaveWith(i int, state property.Map) error {
	subject, _ := s.of(i)
	return subject.Server.Delete(p.DeleteRequest{ID: s.created[i].ID, Urn: subject.URN, Properties: state})
}

// cluster is a cluster as the package has it.
func (s *site) cluster(name string, servers []*rig.Product) cluster.Cluster {
	token := s.inputs[name].(map[string]any)["token"].(string)
	c := cluster.Cluster{CaPem: s.ca.PEM, Token: &token}
	for i, server := range servers {
		c.Nodes = append(c.Nodes, cluster.Node{Name: fmt.Sprintf("server-%d", i+1), Address: server.Address})
	}
	return c
}

// voters are the healthy ones of each product; none while somebody is being elected.
func (s *site) voters(t *testing.T) map[string][]string {
	t.Helper()
	voters, err := s.observed.HealthyVoters(t.Context())
	if err != nil {
		return nil
	}
	return voters
}

// machine stops or starts all servers of a machine.
func (s *site) machine(i int, do func(*rig.Product)) {
	for _, cluster := range [][]*rig.Product{s.consul, s.nomad, s.vault} {
		do(cluster[i])
	}
}

// A machine leaves, the next waits until another has taken its place, sealed Vault and all.
func TestMachinesTakeTurns(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3)
	s.join(t)
	for _, name := range []string{"vault", "consul", "nomad"} {
		assert.True(t, s.created[0].Properties.Get(name).AsMap().Get("token").Secret(), name)
	}
	assert.True(t, s.created[0].Properties.Get("unsealKeys").Secret())
	subject, inputs := s.of(0)
	assert.Equal(t, s.created[0].Properties, subject.Read(s.created[0], inputs).Properties, "a refresh must not show a difference")

	s.replaces(t, 2)
	s.replaces(t, 1)
	require.NoError(t, s.leave(2))
	two := []string{"server-1", "server-2"}
	rig.Eventually(t, "its votes are gone", func() bool {
		all := s.voters(t)
		return slices.Equal(all["Vault"], two) && slices.Equal(all["Consul"], two)
	})

	next := make(chan error, 1)
	// The state of server-2 was written by the version before.
	go func() {
		next <- s.leaveWith(1, rig.Before(s.created[1].Properties, "vault", "consul-server", "nomad-server"))
	}()
	s.machine(2, func(server *rig.Product) { server.Stop(t) })
	rig.Eventually(t, "Nomad misses it too", func() bool { return slices.Equal(s.voters(t)["Nomad"], two) })
	select {
	case err := <-next:
		t.Fatalf("server-2 did not wait for server-3: %v", err)
	default:
	}
	s.machine(2, func(server *rig.Product) { server.Restart(t, false) })
	require.NoError(t, <-next)
	rig.Eventually(t, "server-2 has left, and server-3 has its votes", func() bool {
		all := s.voters(t)
		return slices.Equal(all["Consul"], []string{"server-1", "server-3"}) && slices.Equal(all["Vault"], []string{"server-1", "server-3"})
	})
}

// A machine stays while the others need it. When they can do without it, it leaves even if it does not answer.
func TestMachinesThatAreNeeded(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3)
	s.join(t)
	s.machine(2, func(server *rig.Product) { server.Stop(t) })
	rig.Eventually(t, "the others miss it", func() bool {
		all := s.voters(t)
		return len(all["Vault"]) == 2 && len(all["Consul"]) == 2 && len(all["Nomad"]) == 2
	})
	subject, inputs := s.of(0)
	hurried := subject.Checked(inputs).Set("timeout", property.New("5s"))
	needed := p.DeleteRequest{ID: "server-1", Urn: subject.URN, Properties: hurried.Set("nodeId", property.New("an ID"))}
	err := subject.Server.Delete(needed)
	require.Error(t, err)
	t.Log(err)
	assert.Regexp(t, `no machine has left or come back for 5s.*: \w+ cannot do without server-1: 2 others must be healthy voters, these are: server-2(; Vault on server-3: .+)?$`, err.Error())
	assert.NotContains(t, err.Error(), rig.Secret)
	assert.Len(t, s.voters(t)["Consul"], 2, "it did not leave")

	s.Subject = rig.New(t.Context(), t, "Membership", "") // the next update
	began := time.Now()
	require.NoError(t, s.leave(2))
	t.Logf("left in %s, without an answer", time.Since(began).Round(time.Second))
	found, err := api.NewConsul(cluster.Node{Name: "server-1", Address: s.consul[0].Address}, s.ca.PEM, rig.Secret)
	require.NoError(t, err)
	raft, err := found.Operator().RaftGetConfiguration(found.WithToken(t.Context()))
	require.NoError(t, err)
	assert.Len(t, raft.Servers, 2)
	for _, peer := range raft.Servers {
		assert.True(t, peer.Voter, peer.Node)
	}
}

// Of five servers, two are removed for good, both at once, as Pulumi does it. They give up their votes one after the other, and none is
// lost of the others.
func TestFiveServersBecomeThree(t *testing.T) {
	t.Parallel()
	s := newSite(t, 5)
	s.join(t)
	var leaving sync.WaitGroup
	for _, i := range []int{3, 4} {
		leaving.Go(func() { assert.NoError(t, s.leave(i)) })
	}
	leaving.Wait()
	three := []string{"server-1", "server-2", "server-3"}
	rig.Eventually(t, "their votes are gone, before their machines are", func() bool {
		all := s.voters(t)
		return slices.Equal(all["Vault"], three) && slices.Equal(all["Consul"], three)
	})
	for _, i := range []int{3, 4} {
		s.machine(i, func(server *rig.Product) { server.Stop(t) })
	}
	rig.Eventually(t, "the three are whole without them", func() bool {
		all := s.voters(t)
		return slices.Equal(all["Vault"], three) && slices.Equal(all["Consul"], three) && slices.Equal(all["Nomad"], three)
	})
}

// The only server of a product takes all that it knows along.
func TestTheOnlyServerStays(t *testing.T) {
	t.Parallel()
	ca := rig.NewAuthority(t)
	consul := rig.StartConsul(t, ca, 1)
	rig.New(t.Context(), t, "ConsulBootstrap", "consul").MustCreate(rig.ACLInputs(ca, consul))
	subject := rig.New(t.Context(), t, "Membership", "server-1")
	created := subject.MustCreate(map[string]any{
		"machine": "server-1", "machineId": "1", "lane": "servers", "region": "global",
		"consul": rig.ClusterWith(ca, rig.Secret, rig.Addresses(consul)...), "timeout": "60s",
	})
	err := subject.Server.Delete(p.DeleteRequest{ID: created.ID, Urn: subject.URN, Properties: created.Properties})
	require.ErrorContains(t, err, "server-1 is the only server of Consul")
}
