package gossip

import (
	"context"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"

	"hashistack/provider/internal/compare"
	"hashistack/provider/internal/migrate"
	"hashistack/provider/internal/wait"
)

// Use makes a gossip key the only one of a cluster: GossipUse in Pulumi.
type Use struct{}

var (
	_ infer.CustomCheck[Args]                    = Use{}
	_ infer.CustomDiff[Args, UseState]           = Use{}
	_ infer.CustomUpdate[Args, UseState]         = Use{}
	_ infer.CustomRead[Args, UseState]           = Use{}
	_ infer.ExplicitDependencies[Args, UseState] = Use{}
)

// UseResource is the resource GossipUse.
func UseResource() infer.InferredResource {
	return migrate.Resource(infer.Resource(Use{}), reshape)
}

// UseState is what stays in the stack's state.
type UseState struct {
	Args
	Sole bool `pulumi:"sole"`
}

// Annotate describes the resource in the schema.
func (r *Use) Annotate(a infer.Annotator) {
	a.SetToken("index", "GossipUse")
	a.Describe(&r, "Makes a gossip key the only one of a cluster: installs it where it is missing, makes all members use it, and "+
		"removes all others. Nothing is done to a cluster in which that is so. A refresh that finds it otherwise makes the next "+
		"update mend it. Deleting the resource does nothing.")
}

// Annotate describes the outputs in the schema.
func (state *UseState) Annotate(a infer.Annotator) {
	a.Describe(&state.Sole, "Whether the key was the only one of all members when that was last looked at.")
}

// WireDependencies keeps the key secret in the outputs too.
func (Use) WireDependencies(f infer.FieldSelector, _ *Args, state *UseState) {
	f.OutputField(&state.Key).AlwaysSecret()
}

// Check reports every problem of the inputs at once.
func (Use) Check(ctx context.Context, req infer.CheckRequest) (infer.CheckResponse[Args], error) {
	return checkInputs(ctx, req)
}

// Diff is a replacement for another product, and an update for every other change. A key that is not the only one is a
// change, too.
func (Use) Diff(_ context.Context, req infer.DiffRequest[Args, UseState]) (infer.DiffResponse, error) {
	diff := compare.Inputs(req.State.Args, req.Inputs)
	if !req.State.Sole {
		diff = compare.Output(diff, "sole")
	}
	return diff, nil
}

// Create makes the key the only one, which in a new cluster it is.
func (Use) Create(ctx context.Context, req infer.CreateRequest[Args]) (infer.CreateResponse[UseState], error) {
	resp := infer.CreateResponse[UseState]{ID: req.Name, Output: UseState{req.Inputs, true}}
	if req.DryRun {
		return resp, nil
	}
	return resp, req.Inputs.within(ctx, installed, sole)
}

// Update makes the key the only one.
func (Use) Update(ctx context.Context, req infer.UpdateRequest[Args, UseState]) (infer.UpdateResponse[UseState], error) {
	resp := infer.UpdateResponse[UseState]{Output: UseState{req.Inputs, true}}
	if req.DryRun {
		return resp, nil
	}
	return resp, req.Inputs.within(ctx, installed, sole)
}

// Read looks whether the key is the only one. A cluster that does not answer keeps its last known state.
func (Use) Read(ctx context.Context, req infer.ReadRequest[Args, UseState]) (infer.ReadResponse[Args, UseState], error) {
	resp := infer.ReadResponse[Args, UseState](req)
	servers, err := req.State.connect()
	if err != nil {
		return resp, err
	}
	err = wait.AnyOf(servers, func(ctx context.Context, server ring) error {
		found, err := survey(ctx, server, req.State.Key)
		if err == nil {
			resp.State.Sole = found.sole()
		}
		return err
	})(ctx)
	if err != nil {
		p.GetLogger(ctx).Warningf("which gossip keys %s uses is not known: %s", req.State.Product, err)
	}
	return resp, nil
}
