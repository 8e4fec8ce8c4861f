package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	vault "github.com/hashicorp/vault/api"
)

// quorum is a cluster of servers that elect a leader among themselves. Errors of leave say what is still to come.
type quorum interface {
	fmt.Stringer
	// size is how many servers there are to be.
	size() int
	// healthy are the machines whose servers have a vote and are well.
	healthy(ctx context.Context) ([]string, error)
	// leave takes a machine's vote away, or does what can be done for it to be missed as little as possible.
	leave(ctx context.Context, machine string) error
}

// vaultQuorum are all Vault servers, with a token.
type vaultQuorum []vaultNode

func (q vaultQuorum) String() string { return "Vault" }
func (q vaultQuorum) size() int      { return len(q) }

// servers is what the active node's autopilot knows, by machine.
func (q vaultQuorum) servers(ctx context.Context) (servers map[string]*vault.AutopilotServer, err error) {
	return servers, anyOf(q, func(ctx context.Context, node vaultNode) error {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
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

// leave removes the peer: a new server of the same name is a peer like any other then.
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
	return anyOf(q, func(ctx context.Context, node vaultNode) error {
		if leads != (node.Name == machine) {
			return errors.New("not to be asked")
		}
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
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
type consulQuorum []consulServer

func (q consulQuorum) String() string { return "Consul" }
func (q consulQuorum) size() int      { return len(q) }

func (q consulQuorum) healthy(ctx context.Context) (names []string, err error) {
	return names, anyOf(q, func(ctx context.Context, server consulServer) error {
		health, err := server.client.Operator().AutopilotServerHealth(server.withToken(ctx))
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

// leave makes the server say good-bye: it hands leadership over, gives its vote up, and takes what it registered along. One that
// does not answer is declared to have left.
func (q consulQuorum) leave(ctx context.Context, machine string) error {
	var unheard error
	for _, server := range q {
		if server.Name == machine {
			unheard = server.client.Agent().Leave()
		}
	}
	return anyOf(q, func(ctx context.Context, server consulServer) error {
		if server.Name == machine {
			return errors.New("it is the one that leaves")
		}
		configuration, err := server.client.Operator().RaftGetConfiguration(server.withToken(ctx))
		if err != nil {
			return err
		}
		for _, peer := range configuration.Servers {
			if peer.Node != machine {
				continue
			}
			if unheard != nil {
				err = server.client.Agent().ForceLeavePrune(machine)
			}
			return errors.Join(errors.New("it is still a peer"), unheard, err)
		}
		return nil
	})(ctx)
}

// nomadQuorum are all Nomad servers, which are called as their machines with the region behind.
type nomadQuorum struct {
	nodes  []nomadServer
	suffix string
}

func (q nomadQuorum) String() string { return "Nomad" }
func (q nomadQuorum) size() int      { return len(q.nodes) }

func (q nomadQuorum) healthy(ctx context.Context) (names []string, err error) {
	return names, anyOf(q.nodes, func(ctx context.Context, server nomadServer) error {
		health, err := server.health(ctx)
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
	return anyOf(q.nodes, func(ctx context.Context, server nomadServer) error {
		health, err := server.health(ctx)
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
		if err := server.client.Operator().RaftTransferLeadershipByID(heir, server.writing(ctx)); err != nil {
			return fmt.Errorf("hand leadership over: %w", err)
		}
		return errors.New("it hands leadership over")
	})(ctx)
}
