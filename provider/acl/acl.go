// Package acl bootstraps the ACL systems of Consul and Nomad, which happens once in a cluster's life and yields the
// management token. The program chooses that token beforehand, so a bootstrap that was interrupted can be taken over.
package acl

import (
	"context"

	"github.com/pulumi/pulumi-go-provider/infer"

	"hashistack/provider/internal/check"
	"hashistack/provider/internal/cluster"
	"hashistack/provider/internal/compare"
	"hashistack/provider/internal/wait"
)

// Args are the inputs of ConsulBootstrap and NomadBootstrap.
type Args struct {
	Cluster         cluster.Cluster `pulumi:"cluster"`
	ExpectedVoters  int             `pulumi:"expectedVoters"`
	BootstrapSecret string          `pulumi:"bootstrapSecret" provider:"secret,replaceOnChanges"`
	Timeout         string          `pulumi:"timeout,optional"`
}

// State is what stays in the stack's state.
type State struct {
	Args
	AccessorID string `pulumi:"accessorId"`
	Token      string `pulumi:"token" provider:"secret"`
}

// Annotate describes the inputs in the schema.
func (args *Args) Annotate(a infer.Annotator) {
	a.Describe(&args.Cluster, "The cluster, without a token: `bootstrapSecret` becomes its first.")
	a.Describe(&args.ExpectedVoters, "How many voters the cluster must have, all of them healthy, before anything may rely on it.")
	a.Describe(&args.BootstrapSecret, "The secret of the management token, a UUID chosen beforehand: an interrupted bootstrap "+
		"can then be resumed.")
	wait.DescribeTimeout(a, &args.Timeout)
}

// Annotate describes the outputs in the schema.
func (state *State) Annotate(a infer.Annotator) {
	a.Describe(&state.AccessorID, "Accessor of the management token: names it without giving it away.")
	a.Describe(&state.Token, "The management token; the same value as `bootstrapSecret`, for what must come after the bootstrap.")
}

// bootstrap is what ConsulBootstrap and NomadBootstrap have in common: all but the product.
type bootstrap struct{ product product }

// Check reports every problem of the inputs at once.
func (bootstrap) Check(ctx context.Context, req infer.CheckRequest) (infer.CheckResponse[Args], error) {
	return check.Inputs(ctx, req, func(args *Args, c *check.Problems) {
		c.Cluster("cluster", &args.Cluster, check.WithoutToken)
		c.Timeout(args.Timeout)
		if c.Known("expectedVoters") && args.ExpectedVoters < 1 {
			c.Add("expectedVoters", "must be at least 1, got %d", args.ExpectedVoters)
		}
		c.UUID("bootstrapSecret", args.BootstrapSecret)
	})
}

// Diff is a replacement for another secret, and an update for every other change.
func (bootstrap) Diff(_ context.Context, req infer.DiffRequest[Args, State]) (infer.DiffResponse, error) {
	return compare.Inputs(req.State.Args, req.Inputs), nil
}

// WireDependencies makes the token secret wherever it goes. It also makes it known in the preview of an update, which
// never changes it.
func (bootstrap) WireDependencies(f infer.FieldSelector, args *Args, state *State) {
	f.OutputField(&state.BootstrapSecret).AlwaysSecret()
	f.OutputField(&state.Token).AlwaysSecret()
	f.OutputField(&state.Token).DependsOn(f.InputField(&args.BootstrapSecret))
}
