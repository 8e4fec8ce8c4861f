package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	consul "github.com/hashicorp/consul/api"
	nomad "github.com/hashicorp/nomad/api"
	p "github.com/pulumi/pulumi-go-provider"
)

// member is a machine with the clusters that it belongs to.
type member struct {
	MembershipState
	quorums []quorum // in which it has a vote
	consul  []consulServer
	nomad   []nomadServer
	unseal  func(context.Context) error // nil: it has no Vault
}

func newMember(state MembershipState) (*member, error) {
	m := &member{MembershipState: state}
	for _, node := range state.ConsulNodes {
		client, err := newConsulClient(node, state.CaPem, state.ConsulToken, requestTimeout)
		if err != nil {
			return nil, err
		}
		m.consul = append(m.consul, consulServer{node, client, state.ConsulToken})
	}
	for _, node := range state.NomadNodes {
		server, err := newNomadServer(node, state.CaPem, state.NomadToken)
		if err != nil {
			return nil, err
		}
		m.nomad = append(m.nomad, server)
	}
	if m.has(roleVault) {
		servers, err := connectVault(state.VaultNodes, state.CaPem)
		if err != nil {
			return nil, err
		}
		for _, server := range servers {
			server.SetToken(state.VaultToken)
		}
		m.quorums = append(m.quorums, vaultQuorum(servers))
		own := servers[slices.IndexFunc(state.VaultNodes, state.is)]
		m.unseal = VaultUnsealArgs{Node: own.Node, Keys: state.UnsealKeys, CaPem: state.CaPem}.unsealer(own)
	}
	// Consul last: Nomad and Vault on the machine rely on its agent.
	if m.has(roleNomadServer) {
		m.quorums = append(m.quorums, nomadQuorum{m.nomad, "." + state.Region})
	}
	if m.has(roleConsulServer) {
		m.quorums = append(m.quorums, consulQuorum(m.consul))
	}
	return m, nil
}

func (m *member) String() string { return m.Machine }

func (m *member) has(role string) bool { return slices.Contains(m.Roles, role) }

// present returns nil if the machine is a healthy member, and what Consul knows it by.
func (m *member) present(ctx context.Context) (nodeID string, err error) {
	err = anyOf(m.consul, func(ctx context.Context, server consulServer) error {
		nodeID, err = server.node(ctx, m.Machine)
		return err
	})(ctx)
	if err != nil {
		return "", fmt.Errorf("Consul: %w", err)
	}
	for _, q := range m.quorums {
		healthy, err := q.healthy(ctx)
		if err == nil && !slices.Contains(healthy, m.Machine) {
			err = fmt.Errorf("it is no healthy voter; these are: %s", strings.Join(healthy, ", "))
		}
		if err != nil {
			return "", fmt.Errorf("%s: %w", q, err)
		}
	}
	if !m.has(roleNomadClient) {
		return nodeID, nil
	}
	node, err := m.client(ctx)
	if err != nil {
		return "", fmt.Errorf("Nomad: %w", err)
	}
	if node.SchedulingEligibility != nomad.NodeSchedulingEligible {
		return "", fmt.Errorf("Nomad: its client gets no allocations, it is %s", node.SchedulingEligibility)
	}
	return nodeID, nil
}

// back returns nil if another machine has taken the place of this one, which left. A Vault that came with it is unsealed:
// Pulumi's own resource for that waits for all machines.
func (m *member) back(ctx context.Context) error {
	if m.unseal != nil {
		if err := m.unseal(ctx); err != nil {
			return err
		}
	}
	nodeID, err := m.present(ctx)
	if err == nil && nodeID == m.NodeID {
		err = errors.New("Consul still lists the machine that left")
	}
	return err
}

// spared returns nil if enough of the others are healthy. The machine itself does not count: whatever is wrong with it, a
// majority of the servers that there are to be is left when it goes.
func (m *member) spared(ctx context.Context) error {
	for _, q := range m.quorums {
		if q.size() == 1 {
			return final(fmt.Errorf("%s is the only server of %s: what %[2]s knows would go with the machine. Take a backup, destroy the stack, "+
				"and make it anew; with three servers machines can be replaced one after the other", m, q))
		}
		healthy, err := q.healthy(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", q, err)
		}
		others := slices.DeleteFunc(healthy, func(name string) bool { return name == m.Machine })
		if want := q.size()/2 + 1; len(others) < want {
			return fmt.Errorf("%s cannot do without %s: %d others must be healthy voters, these are: %s", q, m, want, strings.Join(others, ", "))
		}
	}
	return nil
}

// leave makes the machine leave: first its allocations, then its votes.
func (m *member) leave(ctx context.Context) error {
	if m.has(roleNomadClient) {
		if err := m.drain(ctx); err != nil {
			return err
		}
	}
	for _, q := range m.quorums {
		if err := until(ctx, fmt.Sprintf("%s to leave %s", m, q), func(ctx context.Context) error {
			return q.leave(ctx, m.Machine)
		}); err != nil {
			return err
		}
	}
	return nil
}

// client is the machine's Nomad client.
func (m *member) client(ctx context.Context) (node *nomad.NodeListStub, err error) {
	return node, anyOf(m.nomad, func(ctx context.Context, server nomadServer) error {
		nodes, _, err := server.client.Nodes().List(server.withToken(ctx))
		if err != nil {
			return err
		}
		state := "not there"
		for _, found := range nodes {
			if found.Name != m.Machine {
				continue
			}
			if found.Status == nomad.NodeStatusReady {
				node = found
				return nil
			}
			state = found.Status
		}
		return fmt.Errorf("its client is %s", state)
	})(ctx)
}

// drain has the allocations move elsewhere. A client that is not ready has lost them already.
func (m *member) drain(ctx context.Context) error {
	node, err := m.client(ctx)
	if err != nil {
		p.GetLogger(ctx).Warningf("%s is not drained: %s", m.Machine, describe(err))
		return nil
	}
	patience, err := parseTimeout(m.Timeout)
	if err != nil {
		return fmt.Errorf("timeout: %w", err)
	}
	spec := &nomad.DrainOptions{
		// Allocations that have not moved elsewhere by then are stopped, and the rest of the time is for that.
		DrainSpec: &nomad.DrainSpec{Deadline: patience / 2},
		Meta:      map[string]string{"message": "the machine is about to be replaced or removed"},
	}
	if err := until(ctx, "the drain of "+m.Machine+" to begin", anyOf(m.nomad, func(ctx context.Context, server nomadServer) error {
		if node.Drain {
			return nil
		}
		_, err := server.client.Nodes().UpdateDrainOpts(node.ID, spec, server.writing(ctx))
		return err
	})); err != nil {
		return err
	}
	return until(ctx, m.Machine+" to be drained", anyOf(m.nomad, func(ctx context.Context, server nomadServer) error {
		node, _, err := server.client.Nodes().Info(node.ID, server.withToken(ctx))
		if err != nil || node.DrainStrategy == nil {
			return err
		}
		allocations, _, err := server.client.Nodes().Allocations(node.ID, server.withToken(ctx))
		if err != nil {
			return err
		}
		running := slices.DeleteFunc(allocations, (*nomad.Allocation).ClientTerminalStatus)
		return fmt.Errorf("%d allocations are left", len(running))
	}))
}

// node returns the ID of a machine's agent if the machine is known and its agent alive.
func (s consulServer) node(ctx context.Context, machine string) (string, error) {
	found, _, err := s.client.Catalog().Node(machine, s.withToken(ctx))
	if err != nil {
		return "", err
	}
	if found == nil {
		return "", errors.New("it is not in the catalog")
	}
	checks, _, err := s.client.Health().Node(machine, s.withToken(ctx))
	if err != nil {
		return "", err
	}
	alive := slices.ContainsFunc(checks, func(check *consul.HealthCheck) bool {
		return check.CheckID == "serfHealth" && check.Status == consul.HealthPassing
	})
	if !alive {
		return "", errors.New("its agent is not alive")
	}
	return found.Node.ID, nil
}
