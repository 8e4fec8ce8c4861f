package membership

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	consul "github.com/hashicorp/consul/api"
	nomad "github.com/hashicorp/nomad/api"

	"hashistack/provider/internal/api"
	"hashistack/provider/internal/explain"
	"hashistack/provider/internal/wait"
	"hashistack/provider/vault"
)

// member is a machine with the clusters that it belongs to.
type member struct {
	State
	quorums []quorum // in which it has a vote
	consul  []api.Consul
	nomad   []api.Nomad // none: it is not a member of Nomad
	// unsealers unseal Vault on each machine that has it, by machine.
	unsealers map[string]func(context.Context) error
}

func newMember(state State) (*member, error) {
	m := &member{State: state}
	var err error
	if m.consul, err = api.ConnectConsul(state.Consul); err != nil {
		return nil, err
	}
	if state.Vault != nil {
		servers, err := api.ConnectVault(*state.Vault)
		if err != nil {
			return nil, err
		}
		m.quorums = append(m.quorums, vaultQuorum(servers))
		m.unsealers = map[string]func(context.Context) error{}
		for _, server := range servers {
			m.unsealers[server.Name] = vault.Unsealer(server, state.UnsealKeys)
		}
	}
	if state.Nomad != nil {
		if m.nomad, err = api.ConnectNomad(*state.Nomad); err != nil {
			return nil, err
		}
		if state.serves(state.Nomad) {
			m.quorums = append(m.quorums, nomadQuorum{m.nomad, "." + state.Region})
		}
	}
	// Consul last: Nomad and Vault on the machine rely on its agent.
	if state.serves(&state.Consul) {
		m.quorums = append(m.quorums, consulQuorum(m.consul))
	}
	return m, nil
}

func (m *member) String() string { return m.Machine }

// present returns nil if the machine is a healthy member, and what Consul knows it by.
func (m *member) present(ctx context.Context) (nodeID string, err error) {
	err = wait.AnyOf(m.consul, func(ctx context.Context, server api.Consul) error {
		nodeID, err = agent(ctx, server, m.Machine)
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
	if !m.NomadClient {
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

// agent returns Consul's ID of a machine's agent, if the machine is known and its agent alive.
func agent(ctx context.Context, server api.Consul, machine string) (id string, err error) {
	found, _, err := server.Catalog().Node(machine, server.WithToken(ctx))
	if err != nil {
		return "", err
	}
	if found == nil {
		return "", errors.New("it is not in the catalog")
	}
	checks, _, err := server.Health().Node(machine, server.WithToken(ctx))
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

// back returns nil if a new machine has taken the place of this one, which left. A Vault that came with it is unsealed
// here: VaultUnseal cannot do it, because Pulumi runs that only when all new machines are there.
func (m *member) back(ctx context.Context) error {
	if unseal := m.unsealers[m.Machine]; unseal != nil {
		if err := unseal(ctx); err != nil {
			return err
		}
	}
	nodeID, err := m.present(ctx)
	if err == nil && nodeID == m.NodeID {
		err = errors.New("Consul still lists the machine that left")
	}
	return err
}

// spared returns nil if enough of the others are healthy: a majority of all servers that there are to be must be left when
// the machine goes. Its own health does not count.
//
// A Vault of the others that is sealed is unsealed here: an update that was interrupted may have left it so, and the resource
// that unseals it may come after this machine's replacement.
func (m *member) spared(ctx context.Context) error {
	if err := m.alone(); err != nil {
		return wait.Final(err)
	}
	for _, q := range m.quorums {
		healthy, err := q.healthy(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", q, err)
		}
		others := slices.DeleteFunc(healthy, func(name string) bool { return name == m.Machine })
		if want := q.size()/2 + 1; len(others) < want {
			err := fmt.Errorf("%s cannot do without %s: %d others must be healthy voters, these are: %s", q, m, want, strings.Join(others, ", "))
			if _, isVault := q.(vaultQuorum); isVault {
				if unopened := m.unsealOthers(ctx); unopened != "" {
					err = fmt.Errorf("%w; %s", err, unopened)
				}
			}
			return err
		}
	}
	return nil
}

// unsealOthers unseals Vault on the other machines, and says of each whose Vault cannot be unsealed why.
func (m *member) unsealOthers(ctx context.Context) string {
	var said []string
	for _, machine := range slices.Sorted(maps.Keys(m.unsealers)) {
		if machine == m.Machine {
			continue
		}
		if err := m.unsealers[machine](ctx); err != nil {
			said = append(said, "Vault on "+machine+": "+explain.Error(err))
		}
	}
	return strings.Join(said, "; ")
}

// leave makes the machine leave: first its allocations, then its votes.
func (m *member) leave(ctx context.Context) error {
	if m.NomadClient {
		if err := m.drain(ctx); err != nil {
			return err
		}
	}
	for _, q := range m.quorums {
		if err := wait.Until(ctx, fmt.Sprintf("%s to leave %s", m, q), func(ctx context.Context) error {
			return q.leave(ctx, m.Machine)
		}); err != nil {
			return err
		}
	}
	return nil
}
