package membership

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-go-provider/infer"

	"hashistack/provider/internal/check"
	"hashistack/provider/internal/cluster"
	"hashistack/provider/internal/wait"
)

// Args are the inputs of Membership. Each cluster has its own token, so a machine's state holds the tokens of the clusters
// that the machine is a member of, and no others. Consul is not optional: Consul's ID of the machine's agent tells a new
// machine from the one before it.
type Args struct {
	Machine     string           `pulumi:"machine" provider:"replaceOnChanges"`
	MachineID   string           `pulumi:"machineId" provider:"replaceOnChanges"`
	Lane        string           `pulumi:"lane"`
	AtOnce      int              `pulumi:"atOnce,optional"`
	Vault       *cluster.Cluster `pulumi:"vault,optional"`
	UnsealKeys  []string         `pulumi:"unsealKeys,optional" provider:"secret"`
	Consul      cluster.Cluster  `pulumi:"consul"`
	Nomad       *cluster.Cluster `pulumi:"nomad,optional"`
	NomadClient bool             `pulumi:"nomadClient,optional"`
	Region      string           `pulumi:"region"`
	Timeout     string           `pulumi:"timeout,optional"`
	// MadeOf is not used: it is for those who read the difference.
	MadeOf map[string]string `pulumi:"madeOf,optional"`
}

// State is what stays in the stack's state.
type State struct {
	Args
	// NodeID is what Consul knows the machine by: a new machine of the same name has another.
	NodeID string `pulumi:"nodeId"`
}

// Annotate describes the inputs in the schema.
func (args *Args) Annotate(a infer.Annotator) {
	a.Describe(&args.Machine, "Name of the machine: of its agents in Consul and Nomad, and of its Vault server. Where it is among a "+
		"cluster's nodes, the machine is a server of that cluster.")
	a.Describe(&args.MachineID, "Identity of the machine, for example the ID of its server. Another one is another membership.")
	a.Describe(&args.Lane, "Machines with the same lane go one after the other.")
	a.Describe(&args.AtOnce, "How many machines of the lane may be away at once. Default 1.")
	a.SetDefault(&args.AtOnce, 1)
	a.Describe(&args.Vault, "Vault, if the machine is one of its servers, with a token that may read the autopilot's state, remove "+
		"peers, and make the active node step down.")
	a.Describe(&args.UnsealKeys, "Keys for a machine that comes back with a sealed Vault. Without any, Vault is expected to unseal itself.")
	a.Describe(&args.Consul, "Consul, with a management token. The machine is a client where it is not among the nodes.")
	a.Describe(&args.Nomad, "Nomad, if the machine is one of its servers or clients, with a management token.")
	a.Describe(&args.NomadClient, "Whether the machine runs a Nomad client. It can be a Nomad server besides.")
	a.Describe(&args.Region, "Nomad's region, which its servers carry in their names.")
	wait.DescribeTimeout(a, &args.Timeout)
	a.Describe(&args.MadeOf, "What the machine is made of: digests of its files by their paths, and versions of its packages. A preview "+
		"shows by it why a machine is replaced.")
}

// Annotate describes the outputs in the schema.
func (state *State) Annotate(a infer.Annotator) {
	a.Describe(&state.NodeID, "Consul's ID of the machine's agent.")
}

// WireDependencies keeps the unseal keys secret in the outputs too.
func (Membership) WireDependencies(f infer.FieldSelector, args *Args, state *State) {
	f.OutputField(&state.UnsealKeys).AlwaysSecret()
	f.OutputField(&state.NodeID).DependsOn(f.InputField(&args.MachineID))
}

// Check reports every problem of the inputs at once.
func (Membership) Check(ctx context.Context, req infer.CheckRequest) (infer.CheckResponse[Args], error) {
	return check.Inputs(ctx, req, func(args *Args, c *check.Problems) {
		for name, value := range map[string]string{"machine": args.Machine, "lane": args.Lane, "region": args.Region} {
			if c.Known(name) && value == "" {
				c.Add(name, "must not be empty")
			}
		}
		if c.Known("atOnce") && args.AtOnce < 1 {
			c.Add("atOnce", "must be at least 1, got %d", args.AtOnce)
		}
		c.Cluster("consul", &args.Consul, check.WithToken)
		args.checkVault(c)
		args.checkNomad(c)
		c.Timeout(args.Timeout)
	})
}

func (args *Args) checkVault(c *check.Problems) {
	if c.Given("unsealKeys") { // a list that is absent stays absent: it would look like a secret
		args.UnsealKeys = check.Listed(args.UnsealKeys)
	}
	if args.Vault == nil {
		if len(args.UnsealKeys) > 0 {
			c.Add("unsealKeys", "must be left out without vault: %q has nothing to unseal", args.Machine)
		}
		return
	}
	c.Cluster("vault", args.Vault, check.WithToken)
	if c.Known("vault.nodes") && !args.serves(args.Vault) {
		c.Add("vault.nodes", "must hold the machine, %q: all members of Vault are servers. Leave vault out if it is not one", args.Machine)
	}
}

func (args *Args) checkNomad(c *check.Problems) {
	if args.Nomad == nil {
		if args.NomadClient {
			c.Add("nomadClient", "needs nomad: the cluster of the client on %q", args.Machine)
		}
		return
	}
	c.Cluster("nomad", args.Nomad, check.WithToken)
	if c.Known("nomad.nodes") && !args.NomadClient && !args.serves(args.Nomad) {
		c.Add("nomad.nodes", "must hold the machine, %q, which is no Nomad client. Leave nomad out if it is no server either", args.Machine)
	}
}

// serves tells whether the machine is a server of the cluster.
func (args Args) serves(c *cluster.Cluster) bool {
	return c != nil && slices.ContainsFunc(c.Nodes, func(node cluster.Node) bool { return node.Name == args.Machine })
}

// alone is an error if the machine is the only server of a cluster: what the cluster knows would go with it.
func (args Args) alone() error {
	var only []string
	for _, of := range []struct {
		product string
		cluster *cluster.Cluster
	}{{"Vault", args.Vault}, {"Consul", &args.Consul}, {"Nomad", args.Nomad}} {
		if args.serves(of.cluster) && len(of.cluster.Nodes) == 1 {
			only = append(only, of.product)
		}
	}
	if len(only) == 0 {
		return nil
	}
	return fmt.Errorf("%s is the only server of %s: what is stored there is on this machine alone, so it is never replaced. Undo the change that "+
		"replaces it, which `pulumi preview --diff` shows, or bring up a second stack with three servers, where machines are replaced one after "+
		"the other, and move there (RUNBOOK.md, \"Moving to another stack\")", args.Machine, strings.Join(only, ", "))
}

// clusters names those that the machine is a member of.
func (args Args) clusters() []string {
	names := []string{"Consul"}
	if args.Vault != nil {
		names = append(names, "Vault")
	}
	if args.Nomad != nil {
		names = append(names, "Nomad")
	}
	return names
}
