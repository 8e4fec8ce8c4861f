// Package components holds the parts a platform is made of, each a Pulumi component resource in a file of its own.
//
// The parts depend on each other in one direction only, in the order in which infra.Deploy tells the story: network,
// trust, machine pools, Vault, its certificate authorities and machine logins, Consul, Nomad, workload identity.
package components

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"hashistack/sdks/hashistack"
)

// typePrefix begins the type tokens of all our components: <package>:<module>:<type>.
const typePrefix = "hashistack:platform:"

// Lifetimes of the Consul and Nomad tokens that Vault issues to operators: short, renewed for at most a day.
const (
	operatorTTL    = 2 * time.Hour
	operatorMaxTTL = 24 * time.Hour
)

// Site is the resource that everything inside the machines goes with. When it is deleted, so is all that Vault, Consul and
// Nomad hold. A teardown therefore does not visit their resources one by one, and does not need the clusters to answer.
type Site struct {
	resource pulumi.Resource
	// patience is how long an update waits for anything inside the machines.
	patience time.Duration
}

// timeout is the patience as resources of our provider take it.
func (s Site) timeout() pulumi.String { return pulumi.String(s.patience.String()) }

// inside are the options of a resource that lives inside the machines: a child of parent that needs no deletion of its
// own when the whole site is deleted.
func (s Site) inside(parent pulumi.Resource, more ...pulumi.ResourceOption) []pulumi.ResourceOption {
	return append([]pulumi.ResourceOption{pulumi.Parent(parent), pulumi.DeletedWith(s.resource)}, more...)
}

// Machine is a machine as the products' components see it.
type Machine struct {
	Name   string
	Public pulumi.StringOutput   // IPv4 address
	Server pulumi.CustomResource // what to wait for before talking to it
}

// url is the address of an API on a machine.
func (m Machine) url(port int) pulumi.StringOutput {
	return pulumi.Sprintf("https://%s:%d", m.Public, port)
}

// through is the machine by whose API a cluster is changed: the one called via if it is a server of the cluster, otherwise the first.
func through(servers []Machine, via string) Machine {
	for _, m := range servers {
		if m.Name == via {
			return m
		}
	}
	return servers[0]
}

// node is an API on the machine for our own provider.
func (m Machine) node(port int) hashistack.NodeArgs {
	return hashistack.NodeArgs{Name: pulumi.String(m.Name), Address: m.url(port)}
}

// clusterOf is a cluster for our own provider: an API on all its servers, whose certificates the authorities sign.
func clusterOf(servers []Machine, port int, caPem pulumi.StringInput) hashistack.ClusterArgs {
	nodes := hashistack.NodeArray{}
	for _, m := range servers {
		nodes = append(nodes, m.node(port))
	}
	return hashistack.ClusterArgs{Nodes: nodes, CaPem: caPem}
}

// withToken is a cluster with the token to use there.
func withToken(cluster hashistack.ClusterArgs, token pulumi.StringOutput) hashistack.ClusterArgs {
	cluster.Token = token.ToStringPtrOutput()
	return cluster
}

// numeric turns Pulumi's ID of a Hetzner Cloud resource into the number that other resources refer to it by.
func numeric(id pulumi.IDOutput) pulumi.IntOutput {
	return id.ApplyT(func(id pulumi.ID) (int, error) {
		n, err := strconv.Atoi(string(id))
		if err != nil {
			return 0, fmt.Errorf("ID %q of a Hetzner Cloud resource is not a number: %w", id, err)
		}
		return n, nil
	}).(pulumi.IntOutput)
}

// after makes a resource wait for others. It is for resources that name the others by plain strings. Their outputs would say
// the same, but are unknown in the preview of a new stack, which should show the names.
func after(resources ...pulumi.Resource) pulumi.ResourceOption { return pulumi.DependsOn(resources) }

// seconds is a lifetime as Vault's resources take it.
func seconds(lifetime time.Duration) int { return int(lifetime / time.Second) }

// numbered is the name of a generation of something: the first one has the plain name.
func numbered(name string, generation int) string {
	if generation == 1 {
		return name
	}
	return fmt.Sprintf("%s-%d", name, generation)
}

// sortedKeys gives resources a stable order of declaration.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
