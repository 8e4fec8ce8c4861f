package stack

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	consul "github.com/hashicorp/consul/api"
	nomad "github.com/hashicorp/nomad/api"
	vault "github.com/hashicorp/vault/api"

	"hashistack/internal/names"
	"hashistack/internal/poll"
)

// healthTimeout bounds the wait for agents that join after the update has ended: clients, above all.
const healthTimeout = time.Minute

// Members returns the names of a pool's machines.
func (o *Outputs) Members(pool string) (names []string) {
	for name := range o.Machines {
		if strings.HasPrefix(name, pool+"-") {
			names = append(names, name)
		}
	}
	return names
}

// Healthy waits until every Vault is unsealed and one is active, every Consul and Nomad server is a voter of a quorum
// with a leader, and every client is ready.
func (o *Outputs) Healthy(ctx context.Context) error {
	vaults := map[string]*vault.Client{}
	for _, name := range o.Members("server") {
		client, err := o.VaultAt(names.HTTPS(o.Machines[name], names.VaultPort))
		if err != nil {
			return err
		}
		vaults[name] = client
	}
	consulClient, err := o.Consul()
	if err != nil {
		return err
	}
	nomadClient, err := o.Nomad()
	if err != nil {
		return err
	}
	defer nomadClient.Close()
	for _, check := range []struct {
		what string
		look func(context.Context) error
	}{
		{"Vault to be unsealed on every server, with one active", func(ctx context.Context) error { return vaultHealthy(ctx, vaults) }},
		{"Consul to have every server as voter, a leader, and every machine", func(context.Context) error { return o.consulHealthy(consulClient) }},
		{"Nomad to have every server as voter, a leader, and every client ready", func(ctx context.Context) error { return o.nomadHealthy(ctx, nomadClient) }},
	} {
		if err := poll.Until(ctx, healthTimeout, check.what, check.look); err != nil {
			return err
		}
	}
	return nil
}

func vaultHealthy(ctx context.Context, vaults map[string]*vault.Client) error {
	active := 0
	for name, client := range vaults {
		health, err := client.Sys().HealthWithContext(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if !health.Initialized || health.Sealed {
			return fmt.Errorf("%s: initialized %t, sealed %t", name, health.Initialized, health.Sealed)
		}
		if !health.Standby {
			active++
		}
	}
	if active != 1 {
		return fmt.Errorf("want 1 active, got %d", active)
	}
	return nil
}

func (o *Outputs) consulHealthy(client *consul.Client) error {
	raft, err := client.Operator().RaftGetConfiguration(nil)
	if err != nil {
		return err
	}
	voters, leaders := 0, 0
	for _, server := range raft.Servers {
		if server.Voter {
			voters++
		}
		if server.Leader {
			leaders++
		}
	}
	if want := len(o.Members("server")); voters != want || leaders != 1 {
		return fmt.Errorf("want %d voters and 1 leader, got %d and %d", want, voters, leaders)
	}
	nodes, _, err := client.Catalog().Nodes(nil)
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, node := range nodes {
		there[node.Node] = true
	}
	if missing := lacking(slices.Collect(maps.Keys(o.Machines)), there); len(missing) > 0 {
		return fmt.Errorf("not in the catalog: %s", strings.Join(missing, ", "))
	}
	return nil
}

func (o *Outputs) nomadHealthy(ctx context.Context, client *nomad.Client) error {
	query := (&nomad.QueryOptions{}).WithContext(ctx)
	raft, err := client.Operator().RaftGetConfiguration(query)
	if err != nil {
		return err
	}
	voters, leaders := 0, 0
	for _, server := range raft.Servers {
		if server.Voter {
			voters++
		}
		if server.Leader {
			leaders++
		}
	}
	if want := len(o.Members("server")); voters != want || leaders != 1 {
		return fmt.Errorf("want %d voters and 1 leader, got %d and %d", want, voters, leaders)
	}
	nodes, _, err := client.Nodes().List(query)
	if err != nil {
		return err
	}
	ready := map[string]bool{}
	for _, node := range nodes {
		if node.Status == "ready" && node.SchedulingEligibility == "eligible" {
			ready[node.Name] = true
		}
	}
	if missing := lacking(o.Members("client"), ready); len(missing) > 0 {
		return fmt.Errorf("not ready: %s", strings.Join(missing, ", "))
	}
	return nil
}

// lacking are the names that are not in a set.
func lacking(names []string, set map[string]bool) []string {
	missing := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return set[name] })
	slices.Sort(missing)
	return missing
}
