package membership

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	vault "github.com/hashicorp/vault/api"

	"hashistack/provider/internal/api"
	"hashistack/provider/internal/wait"
)

// quorum is a cluster of servers that elect a leader among themselves. Errors of leave say what is still to come.
type quorum interface {
	fmt.Stringer
	// size is how many servers there are to be.
	size() int
	// healthy are the machines whose servers are healthy voters.
	healthy(ctx context.Context) ([]string, error)
	// leave takes a machine's vote away. Where the product has no way to do that, it hands leadership over.
	leave(ctx context.Context, machine string) error
}

// vaultQuorum are all Vault servers.
type vaultQuorum []api.Vault

func (q vaultQuorum) String() string { return "Vault" }
func (q vaultQuorum) size() int      { return len(q) }

// servers is what the active node's autopilot knows, by machine.
func (q vaultQuorum) servers(ctx context.Context) (servers map[string]*vault.AutopilotServer, err error) {
	return servers, wait.AnyOf(q, func(ctx context.Context, node api.Vault) error {
		ctx, cancel := context.WithTimeout(ctx, api.RequestTimeout)
		defer cancel()
		state, err := node.Sys().RaftAutopilotStateWithContext(ctx)
		switch {
		case err != nil:
			return err
		case state == nil || len(state.Servers) == 0:
			return errors.New("its autopilot has not looked at the servers yet")
		}
		servers = state.Servers
		return nil
	})(ctx)
}

func (q vaultQuorum) healthy(ctx context.Context) (names []string, err error) {
	servers, err := q.servers(ctx)
	for name, server := range servers {
		if server.Healthy && (server.Status == "voter" || server.Status == "leader") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, err
}

// leave removes the peer. A new server of the same name can then join like any other.
func (q vaultQuorum) leave(ctx context.Context, machine string) error {
	servers, err := q.servers(ctx)
	if err != nil {
		return err
	}
	server := servers[machine]
	if server == nil {
		return nil
	}
	leads := server.Status == "leader"
	return wait.AnyOf(q, func(ctx context.Context, node api.Vault) error {
		if leads != (node.Name == machine) {
			return errors.New("not to be asked")
		}
		ctx, cancel := context.WithTimeout(ctx, api.RequestTimeout)
		defer cancel()
		if leads {
			if err := node.Sys().StepDownWithContext(ctx); err != nil {
				return fmt.Errorf("step down: %w", err)
			}
			return errors.New("it steps down")
		}
		if _, err := node.Logical().WriteWithContext(ctx, "sys/storage/raft/remove-peer", map[string]any{"server_id": machine}); err != nil {
			return fmt.Errorf("remove the peer: %w", err)
		}
		return errors.New("it is being removed")
	})(ctx)
}

// consulQuorum are all Consul servers.
type consulQuorum []api.Consul

func (q consulQuorum) String() string { return "Consul" }
func (q consulQuorum) size() int      { return len(q) }

func (q consulQuorum) healthy(ctx context.Context) (names []string, err error) {
	return names, wait.AnyOf(q, func(ctx context.Context, server api.Consul) error {
		health, err := server.Operator().AutopilotServerHealth(server.WithToken(ctx))
		if err != nil {
			return err
		}
		names = nil
		for _, server := range health.Servers {
			if server.Healthy && server.Voter {
				names = append(names, server.Name)
			}
		}
		slices.Sort(names)
		return nil
	})(ctx)
}

// leave makes the server leave: it hands leadership over, gives its vote up, and deregisters what it registered. The others
// are told that a server which does not answer has left.
func (q consulQuorum) leave(ctx context.Context, machine string) error {
	var unheard error
	for _, server := range q {
		if server.Name == machine {
			unheard = server.Agent().Leave()
		}
	}
	return wait.AnyOf(q, func(ctx context.Context, server api.Consul) error {
		if server.Name == machine {
			return errors.New("it is the one that leaves")
		}
		configuration, err := server.Operator().RaftGetConfiguration(server.WithToken(ctx))
		if err != nil {
			return err
		}
		for _, peer := range configuration.Servers {
			if peer.Node != machine {
				continue
			}
			if unheard != nil {
				err = server.Agent().ForceLeavePrune(machine)
			}
			return errors.Join(errors.New("it is still a peer"), unheard, err)
		}
		return nil
	})(ctx)
}

// nomadQuorum are all Nomad servers. The name of each is that of its machine, a dot, and the region.
type nomadQuorum struct {
	nodes  []api.Nomad
	suffix string
}

func (q nomadQuorum) String() string { return "Nomad" }
func (q nomadQuorum) size() int      { return len(q.nodes) }

func (q nomadQuorum) healthy(ctx context.Context) (names []string, err error) {
	return names, wait.AnyOf(q.nodes, func(ctx context.Context, server api.Nomad) error {
		health, err := server.Health(ctx)
		if err != nil {
			return err
		}
		names = nil
		for _, server := range health.Servers {
			if server.Healthy && server.Voter {
				names = append(names, strings.TrimSuffix(server.Name, q.suffix))
			}
		}
		slices.Sort(names)
		return nil
	})(ctx)
}

// leave hands leadership over. The others give the server up when it is gone; its peer goes when they do, or when its
// successor joins from the same address.
func (q nomadQuorum) leave(ctx context.Context, machine string) error {
	return wait.AnyOf(q.nodes, func(ctx context.Context, server api.Nomad) error {
		health, err := server.Health(ctx)
		if err != nil {
			return err
		}
		leads, heir := false, ""
		for _, other := range health.Servers {
			switch {
			case other.Name == machine+q.suffix:
				leads = other.Leader
			case other.Healthy && other.Voter:
				heir = other.ID
			}
		}
		switch {
		case !leads:
			return nil
		case heir == "":
			return errors.New("it leads, and no other server could")
		}
		if err := server.Operator().RaftTransferLeadershipByID(heir, server.Writing(ctx)); err != nil {
			return fmt.Errorf("hand leadership over: %w", err)
		}
		return errors.New("it hands leadership over")
	})(ctx)
}
