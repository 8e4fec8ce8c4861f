package bootstrap

import (
	"context"
	"encoding/base64"
	"slices"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
)

// A gossip key is changed in three acts, so that members and newcomers understand each other all the time: GossipInstall
// makes every member know the new key; the program then hands it to new machines; GossipUse makes it the only one.

// GossipInstall makes every member of a cluster know a new gossip key, besides the one they use.
type GossipInstall struct{}

// GossipUse makes a gossip key the only one of a cluster.
type GossipUse struct{}

var (
	_ infer.CustomCheck[GossipArgs]                              = GossipInstall{}
	_ infer.CustomUpdate[GossipArgs, GossipInstallState]         = GossipInstall{}
	_ infer.ExplicitDependencies[GossipArgs, GossipInstallState] = GossipInstall{}

	_ infer.CustomCheck[GossipArgs]                          = GossipUse{}
	_ infer.CustomDiff[GossipArgs, GossipUseState]           = GossipUse{}
	_ infer.CustomUpdate[GossipArgs, GossipUseState]         = GossipUse{}
	_ infer.CustomRead[GossipArgs, GossipUseState]           = GossipUse{}
	_ infer.ExplicitDependencies[GossipArgs, GossipUseState] = GossipUse{}
)

// GossipArgs are the inputs of both resources.
type GossipArgs struct {
	Product string `pulumi:"product" provider:"replaceOnChanges"`
	Nodes   []Node `pulumi:"nodes"`
	CaPem   string `pulumi:"caPem"`
	Token   string `pulumi:"token" provider:"secret"`
	Key     string `pulumi:"key" provider:"secret"`
	Timeout string `pulumi:"timeout,optional"`
}

// GossipInstallState is what stays in the stack's state.
type GossipInstallState struct {
	GossipArgs
}

// GossipUseState is what stays in the stack's state.
type GossipUseState struct {
	GossipArgs
	Sole bool `pulumi:"sole"`
}

// Annotate describes the resource in the schema.
func (r *GossipInstall) Annotate(a infer.Annotator) {
	a.Describe(&r, "Makes every member of a cluster know a new gossip key, besides the one they use. Creating the resource does "+
		"nothing: a new cluster starts with its key. Hand the key to new machines after this and before `GossipUse`. "+
		"Deleting the resource does nothing.")
}

// Annotate describes the resource in the schema.
func (r *GossipUse) Annotate(a infer.Annotator) {
	a.Describe(&r, "Makes a gossip key the only one of a cluster: installs it where it is missing, makes all members use it, and "+
		"removes all others. Nothing is done to a cluster in which that is so. A refresh that finds it otherwise makes the next "+
		"update mend it. Deleting the resource does nothing.")
}

// Annotate describes the inputs in the schema.
func (args *GossipArgs) Annotate(a infer.Annotator) {
	a.Describe(&args.Product, "`consul` or `nomad`.")
	a.Describe(&args.Nodes, "All servers of the cluster; each is asked in turn until one answers.")
	a.Describe(&args.CaPem, "PEM certificates of the authorities that sign the servers' certificates. No others are trusted.")
	a.Describe(&args.Token, "A token that may write the keyring: Consul's `keyring = \"write\"`, Nomad's `agent` policy `write`.")
	a.Describe(&args.Key, "The gossip key: 32 random bytes in base64.")
	describeTimeout(a, &args.Timeout)
}

// Annotate describes the outputs in the schema.
func (state *GossipUseState) Annotate(a infer.Annotator) {
	a.Describe(&state.Sole, "Whether the key was the only one of all members when that was last looked at.")
}

// WireDependencies keeps key and token secret in the outputs too.
func (GossipInstall) WireDependencies(f infer.FieldSelector, _ *GossipArgs, state *GossipInstallState) {
	f.OutputField(&state.Key).AlwaysSecret()
	f.OutputField(&state.Token).AlwaysSecret()
}

// WireDependencies keeps key and token secret in the outputs too.
func (GossipUse) WireDependencies(f infer.FieldSelector, _ *GossipArgs, state *GossipUseState) {
	f.OutputField(&state.Key).AlwaysSecret()
	f.OutputField(&state.Token).AlwaysSecret()
}

// Check reports every problem of the inputs at once.
func (GossipInstall) Check(ctx context.Context, req infer.CheckRequest) (infer.CheckResponse[GossipArgs], error) {
	return checkGossip(ctx, req)
}

// Check reports every problem of the inputs at once.
func (GossipUse) Check(ctx context.Context, req infer.CheckRequest) (infer.CheckResponse[GossipArgs], error) {
	return checkGossip(ctx, req)
}

const gossipKeyBytes = 32 // AES-256

func checkGossip(ctx context.Context, req infer.CheckRequest) (infer.CheckResponse[GossipArgs], error) {
	args, failures, err := infer.DefaultCheck[GossipArgs](ctx, req.NewInputs)
	if err != nil || len(failures) > 0 {
		return infer.CheckResponse[GossipArgs]{Inputs: args, Failures: failures}, err
	}
	args.Nodes = listed(args.Nodes)
	c := problems{inputs: req.NewInputs}
	if _, known := rings[args.Product]; c.known("product") && !known {
		c.add("product", "must be consul or nomad, got %q", args.Product)
	}
	c.checkNodes("nodes", args.Nodes)
	c.checkAccess(args.CaPem, args.Timeout)
	if c.known("token") && args.Token == "" {
		c.add("token", "must not be empty")
	}
	// The value is a secret even when it is wrong.
	if key, err := base64.StdEncoding.DecodeString(args.Key); c.known("key") && (err != nil || len(key) != gossipKeyBytes) {
		c.add("key", "must be %d bytes in base64, got %d characters of another form", gossipKeyBytes, len(args.Key))
	}
	return infer.CheckResponse[GossipArgs]{Inputs: args, Failures: c.found}, nil
}

// Create does nothing: the cluster that will be there starts with the key.
func (GossipInstall) Create(_ context.Context, req infer.CreateRequest[GossipArgs]) (infer.CreateResponse[GossipInstallState], error) {
	return infer.CreateResponse[GossipInstallState]{ID: req.Name, Output: GossipInstallState{req.Inputs}}, nil
}

// Update makes every member know a key that has changed, and takes over how the cluster is reached.
func (GossipInstall) Update(ctx context.Context, req infer.UpdateRequest[GossipArgs, GossipInstallState]) (infer.UpdateResponse[GossipInstallState], error) {
	args := req.Inputs
	resp := infer.UpdateResponse[GossipInstallState]{Output: GossipInstallState{args}}
	if req.DryRun || args.Key == req.State.Key {
		return resp, nil
	}
	return resp, args.within(ctx, installed)
}

// Create makes the key the only one, which in a new cluster it is.
func (GossipUse) Create(ctx context.Context, req infer.CreateRequest[GossipArgs]) (infer.CreateResponse[GossipUseState], error) {
	resp := infer.CreateResponse[GossipUseState]{ID: req.Name, Output: GossipUseState{req.Inputs, true}}
	if req.DryRun {
		return resp, nil
	}
	return resp, req.Inputs.within(ctx, installed, sole)
}

// Update makes the key the only one.
func (GossipUse) Update(ctx context.Context, req infer.UpdateRequest[GossipArgs, GossipUseState]) (infer.UpdateResponse[GossipUseState], error) {
	resp := infer.UpdateResponse[GossipUseState]{Output: GossipUseState{req.Inputs, true}}
	if req.DryRun {
		return resp, nil
	}
	return resp, req.Inputs.within(ctx, installed, sole)
}

// Diff is an update for every change, a key that is not the only one among them; another product is a replacement.
func (GossipUse) Diff(_ context.Context, req infer.DiffRequest[GossipArgs, GossipUseState]) (infer.DiffResponse, error) {
	was, is := req.State.GossipArgs, req.Inputs
	detailed := map[string]p.PropertyDiff{}
	for property, changed := range map[string]bool{
		"nodes":   !slices.Equal(was.Nodes, is.Nodes),
		"caPem":   was.CaPem != is.CaPem,
		"token":   was.Token != is.Token,
		"key":     was.Key != is.Key,
		"timeout": was.Timeout != is.Timeout,
		"sole":    !req.State.Sole,
	} {
		if changed {
			detailed[property] = p.PropertyDiff{Kind: p.Update, InputDiff: property != "sole"}
		}
	}
	if was.Product != is.Product {
		detailed["product"] = p.PropertyDiff{Kind: p.UpdateReplace, InputDiff: true}
	}
	return infer.DiffResponse{HasChanges: len(detailed) > 0, DetailedDiff: detailed}, nil
}

// Read looks whether the key is the only one. A cluster that does not answer keeps its last known state.
func (GossipUse) Read(ctx context.Context, req infer.ReadRequest[GossipArgs, GossipUseState]) (infer.ReadResponse[GossipArgs, GossipUseState], error) {
	resp := infer.ReadResponse[GossipArgs, GossipUseState](req)
	members, err := req.State.connect()
	if err != nil {
		return resp, err
	}
	err = anyOf(members, func(ctx context.Context, ring ring) error {
		found, err := survey(ctx, ring, req.State.Key)
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
