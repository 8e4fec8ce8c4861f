// Package identity holds what a stack is: where it stands, its network, and who holds the quorum at which addresses. None of that
// changes in a stack that is there: data would go, or all machines at once. A change is refused in the preview, and the refusal
// names the way that loses nothing.
package identity

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/pulumi/pulumi-go-provider/infer"

	"hashistack/provider/internal/check"
	"hashistack/provider/internal/compare"
)

// Identity is what a stack is: StackIdentity in Pulumi. It makes nothing. All that could be replaced depends on it, so that
// nothing has been touched when it refuses a change.
type Identity struct{}

var (
	_ infer.CustomCheck[Args]         = Identity{}
	_ infer.CustomDiff[Args, State]   = Identity{}
	_ infer.CustomUpdate[Args, State] = Identity{}
)

// Resource is the resource StackIdentity.
func Resource() infer.InferredResource { return infer.Resource(Identity{}) }

// Args are the inputs of StackIdentity.
type Args struct {
	Location  string          `pulumi:"location"`
	Region    string          `pulumi:"region"`
	Network   string          `pulumi:"network"`
	Pools     map[string]Pool `pulumi:"pools"`
	Neighbour string          `pulumi:"neighbour,optional"`
}

// Pool is a group of machines.
type Pool struct {
	Subnet  string   `pulumi:"subnet"`
	Roles   []string `pulumi:"roles,optional"`
	Servers []string `pulumi:"servers,optional"`
}

// State is what stays in the stack's state: what the next inputs are compared with.
type State struct{ Args }

// Annotate describes the resource in the schema.
func (r *Identity) Annotate(a infer.Annotator) {
	a.SetToken("index", "StackIdentity")
	a.Describe(&r, "What a stack is, which does not change while it is there: its location, region and network, and which pools hold a "+
		"quorum at which addresses. Another value is refused in the preview. Servers can become five of three, and three of five; "+
		"pools without a quorum come and go. Have everything that could be replaced depend on this resource.")
}

// Annotate describes the inputs in the schema.
func (args *Args) Annotate(a infer.Annotator) {
	a.Describe(&args.Location, "Where the machines stand.")
	a.Describe(&args.Region, "Nomad's region.")
	a.Describe(&args.Network, "Range of the private network, for example `10.0.0.0/16`.")
	a.Describe(&args.Pools, "The pools of machines, by name.")
	a.Describe(&args.Neighbour, "The stack that has this stack's names in the cloud's project. A new stack is refused beside it. One that "+
		"is there has had its names from the beginning: it may have been renamed.")
}

// Annotate describes a pool in the schema.
func (pool *Pool) Annotate(a infer.Annotator) {
	a.Describe(&pool, "A pool of machines.")
	a.Describe(&pool.Subnet, "The pool's part of the private network, for example `10.0.1.0/24`.")
	a.Describe(&pool.Roles, "Those of the machines' roles that elect a leader. None: the pool may change as it likes, but for its subnet.")
	a.Describe(&pool.Servers, "Private addresses of the machines, if they elect a leader, in the order of their numbers.")
}

// Check refuses another stack in the place of the one that is there, with every difference at once.
func (Identity) Check(ctx context.Context, req infer.CheckRequest) (infer.CheckResponse[Args], error) {
	// A stack that is new, or of before there was this resource, has nothing to be compared with: it is what it is now.
	isNew := req.OldInputs.Len() == 0
	var was Args
	if !isNew {
		var err error
		if was, _, err = infer.DefaultCheck[Args](ctx, req.OldInputs); err != nil {
			return infer.CheckResponse[Args]{}, fmt.Errorf("read from the state what the stack is: %w", err)
		}
	}
	return check.Inputs(ctx, req, func(is *Args, c *check.Problems) {
		switch {
		case !wellFormed(*is, c):
		case !isNew:
			compareStack(was, *is, c)
		case is.Neighbour != "":
			c.Add("neighbour", "the Hetzner project has a network of this name already, of stack %s: names are unique in a project, and this stack's "+
				"would collide. Give this stack a project of its own, with its own hcloud:token", is.Neighbour)
		}
	})
}

// wellFormed finds texts that are no ranges of addresses.
func wellFormed(args Args, c *check.Problems) bool {
	ranges := map[string]string{"network": args.Network}
	for name, pool := range args.Pools {
		ranges[at(name, "subnet")] = pool.Subnet
	}
	good := true
	for _, path := range sorted(ranges) {
		if _, err := netip.ParsePrefix(ranges[path]); err != nil && c.Known(path) {
			c.Add(path, "must be a range of addresses such as 10.0.0.0/16, got %q", ranges[path])
			good = false
		}
	}
	return good
}

// Diff is an update for every change that Check lets through.
func (Identity) Diff(_ context.Context, req infer.DiffRequest[Args, State]) (infer.DiffResponse, error) {
	return compare.Inputs(req.State.Args, req.Inputs), nil
}

// Create makes nothing: what the stack is, is in the state from now on.
func (Identity) Create(_ context.Context, req infer.CreateRequest[Args]) (infer.CreateResponse[State], error) {
	return infer.CreateResponse[State]{ID: req.Name, Output: State{req.Inputs}}, nil
}

// Update records what the stack is now.
func (Identity) Update(_ context.Context, req infer.UpdateRequest[Args, State]) (infer.UpdateResponse[State], error) {
	return infer.UpdateResponse[State]{Output: State{req.Inputs}}, nil
}
