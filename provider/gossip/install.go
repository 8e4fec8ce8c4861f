package gossip

import (
	"context"

	"github.com/pulumi/pulumi-go-provider/infer"

	"hashistack/provider/internal/compare"
	"hashistack/provider/internal/migrate"
)

// Install makes every member of a cluster know a new gossip key, besides the one they use: GossipInstall in Pulumi.
type Install struct{}

var (
	_ infer.CustomCheck[Args]                        = Install{}
	_ infer.CustomDiff[Args, InstallState]           = Install{}
	_ infer.CustomUpdate[Args, InstallState]         = Install{}
	_ infer.ExplicitDependencies[Args, InstallState] = Install{}
)

// InstallResource is the resource GossipInstall.
func InstallResource() infer.InferredResource {
	return migrate.Resource(infer.Resource(Install{}), reshape)
}

// InstallState is what stays in the stack's state.
type InstallState struct {
	Args
}

// Annotate describes the resource in the schema.
func (r *Install) Annotate(a infer.Annotator) {
	a.SetToken("index", "GossipInstall")
	a.Describe(&r, "Makes every member of a cluster know a new gossip key, besides the one they use. Creating the resource does "+
		"nothing: a new cluster starts with its key. Hand the key to new machines after this and before `GossipUse`. "+
		"Deleting the resource does nothing.")
}

// WireDependencies keeps the key secret in the outputs too.
func (Install) WireDependencies(f infer.FieldSelector, _ *Args, state *InstallState) {
	f.OutputField(&state.Key).AlwaysSecret()
}

// Check reports every problem of the inputs at once.
func (Install) Check(ctx context.Context, req infer.CheckRequest) (infer.CheckResponse[Args], error) {
	return checkInputs(ctx, req)
}

// Diff is a replacement for another product, and an update for every other change.
func (Install) Diff(_ context.Context, req infer.DiffRequest[Args, InstallState]) (infer.DiffResponse, error) {
	return compare.Inputs(req.State.Args, req.Inputs), nil
}

// Create does nothing: a new cluster starts with the key.
func (Install) Create(_ context.Context, req infer.CreateRequest[Args]) (infer.CreateResponse[InstallState], error) {
	return infer.CreateResponse[InstallState]{ID: req.Name, Output: InstallState{req.Inputs}}, nil
}

// Update makes every member know a key that has changed, and records how the cluster is reached now.
func (Install) Update(ctx context.Context, req infer.UpdateRequest[Args, InstallState]) (infer.UpdateResponse[InstallState], error) {
	args := req.Inputs
	resp := infer.UpdateResponse[InstallState]{Output: InstallState{args}}
	if req.DryRun || args.Key == req.State.Key {
		return resp, nil
	}
	return resp, args.within(ctx, installed)
}
