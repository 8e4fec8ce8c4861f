package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	vault "github.com/hashicorp/vault/api"
	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
)

// joinPause is how long a node that was given its keys may take to join its leader, before they are sent again.
const joinPause = 5 * time.Second

// unsealTimeout bounds the request with the last key, which Vault answers when it has read its storage.
const unsealTimeout = 30 * time.Second

// VaultUnseal unseals Vault on one machine and sees that it takes part in its cluster.
type VaultUnseal struct{}

var (
	_ infer.CustomCheck[VaultUnsealArgs]                            = VaultUnseal{}
	_ infer.CustomDiff[VaultUnsealArgs, VaultUnsealState]           = VaultUnseal{}
	_ infer.CustomUpdate[VaultUnsealArgs, VaultUnsealState]         = VaultUnseal{}
	_ infer.CustomRead[VaultUnsealArgs, VaultUnsealState]           = VaultUnseal{}
	_ infer.ExplicitDependencies[VaultUnsealArgs, VaultUnsealState] = VaultUnseal{}
)

// VaultUnsealArgs are the inputs of VaultUnseal.
type VaultUnsealArgs struct {
	Node      Node     `pulumi:"node"`
	MachineID string   `pulumi:"machineId,optional"`
	Keys      []string `pulumi:"keys,optional" provider:"secret"`
	CaPem     string   `pulumi:"caPem"`
	Timeout   string   `pulumi:"timeout,optional"`
}

// VaultUnsealState is what stays in the stack's state.
type VaultUnsealState struct {
	VaultUnsealArgs
	Sealed bool `pulumi:"sealed"`
}

// Annotate describes the resource in the schema.
func (r *VaultUnseal) Annotate(a infer.Annotator) {
	a.Describe(&r, "Unseals Vault on one machine, and waits until it knows the cluster's active node. A refresh that finds it "+
		"sealed makes the next update unseal it. Deleting the resource does nothing.")
}

// Annotate describes the inputs in the schema.
func (args *VaultUnsealArgs) Annotate(a infer.Annotator) {
	a.Describe(&args.Node, "The server to unseal.")
	a.Describe(&args.MachineID, "Identity of the machine, for example the ID of its server: a new machine has a sealed Vault, "+
		"so a new value means to unseal again.")
	a.Describe(&args.Keys, "Unseal keys, at least as many as Vault's threshold. Without any, Vault is expected to unseal itself.")
	a.Describe(&args.CaPem, "PEM certificates of the authorities that sign Vault's certificates. No others are trusted.")
	describeTimeout(a, &args.Timeout)
}

// Annotate describes the outputs in the schema.
func (state *VaultUnsealState) Annotate(a infer.Annotator) {
	a.Describe(&state.Sealed, "Whether Vault was sealed when it was last looked at.")
}

// WireDependencies keeps the keys secret in the outputs too.
func (VaultUnseal) WireDependencies(f infer.FieldSelector, _ *VaultUnsealArgs, state *VaultUnsealState) {
	f.OutputField(&state.Keys).AlwaysSecret()
}

// Check reports every problem of the inputs at once.
func (VaultUnseal) Check(ctx context.Context, req infer.CheckRequest) (infer.CheckResponse[VaultUnsealArgs], error) {
	args, failures, err := infer.DefaultCheck[VaultUnsealArgs](ctx, req.NewInputs)
	if err != nil || len(failures) > 0 {
		return infer.CheckResponse[VaultUnsealArgs]{Inputs: args, Failures: failures}, err
	}
	args.Keys = listed(args.Keys)
	c := problems{inputs: req.NewInputs}
	if c.known("node") {
		c.checkNode("node", args.Node)
	}
	c.checkAccess(args.CaPem, args.Timeout)
	return infer.CheckResponse[VaultUnsealArgs]{Inputs: args, Failures: c.found}, nil
}

// Diff is an update for every change, a sealed Vault among them. Nothing is a replacement: unsealing leaves nothing
// behind that could be replaced.
func (VaultUnseal) Diff(_ context.Context, req infer.DiffRequest[VaultUnsealArgs, VaultUnsealState]) (infer.DiffResponse, error) {
	was, is := req.State.VaultUnsealArgs, req.Inputs
	detailed := map[string]p.PropertyDiff{}
	for property, changed := range map[string]bool{
		"node":      was.Node != is.Node,
		"machineId": was.MachineID != is.MachineID,
		"keys":      !slices.Equal(was.Keys, is.Keys),
		"caPem":     was.CaPem != is.CaPem,
		"timeout":   was.Timeout != is.Timeout,
		"sealed":    req.State.Sealed,
	} {
		if changed {
			detailed[property] = p.PropertyDiff{Kind: p.Update, InputDiff: property != "sealed"}
		}
	}
	return infer.DiffResponse{HasChanges: len(detailed) > 0, DetailedDiff: detailed}, nil
}

// Create unseals the node.
func (VaultUnseal) Create(ctx context.Context, req infer.CreateRequest[VaultUnsealArgs]) (infer.CreateResponse[VaultUnsealState], error) {
	state, err := req.Inputs.unseal(ctx, req.DryRun)
	return infer.CreateResponse[VaultUnsealState]{ID: req.Name, Output: state}, err
}

// Update unseals the node if it is sealed.
func (VaultUnseal) Update(ctx context.Context, req infer.UpdateRequest[VaultUnsealArgs, VaultUnsealState]) (infer.UpdateResponse[VaultUnsealState], error) {
	state, err := req.Inputs.unseal(ctx, req.DryRun)
	return infer.UpdateResponse[VaultUnsealState]{Output: state}, err
}

// Read looks whether the node is sealed. A node that does not answer keeps its last known state.
func (VaultUnseal) Read(ctx context.Context, req infer.ReadRequest[VaultUnsealArgs, VaultUnsealState]) (infer.ReadResponse[VaultUnsealArgs, VaultUnsealState], error) {
	resp := infer.ReadResponse[VaultUnsealArgs, VaultUnsealState](req)
	node, err := newVaultNode(req.State.Node, req.State.CaPem)
	if err != nil {
		return resp, err
	}
	status, err := node.ask(ctx)
	if err != nil {
		p.GetLogger(ctx).Warningf("whether Vault on %s is sealed is not known: %s", node, describe(err))
		return resp, nil
	}
	resp.State.Sealed = status.Sealed
	return resp, nil
}

// unseal waits for the node, gives it the keys it needs, and waits until it takes part in the cluster.
func (args VaultUnsealArgs) unseal(ctx context.Context, dryRun bool) (VaultUnsealState, error) {
	state := VaultUnsealState{VaultUnsealArgs: args}
	if dryRun {
		return state, nil
	}
	ctx, cancel, err := within(ctx, args.Timeout)
	if err != nil {
		return state, err
	}
	defer cancel()
	node, err := newVaultNode(args.Node, args.CaPem)
	if err != nil {
		return state, err
	}

	if err := until(ctx, "Vault on "+node.String()+" to be unsealed", args.unsealer(node)); err != nil {
		return state, err
	}
	return state, until(ctx, "Vault on "+node.String()+" to work with its cluster's active node", node.works)
}

// unsealer is a probe that gives the node the keys it needs. A standby must have found its leader before that.
func (args VaultUnsealArgs) unsealer(node vaultNode) func(context.Context) error {
	var sent time.Time
	return func(ctx context.Context) error {
		status, err := node.ask(ctx)
		switch {
		case err != nil:
			return err
		case status.RemovedFromCluster != nil && *status.RemovedFromCluster:
			return errors.New("removed from its cluster: the machine has to be replaced")
		case !status.Sealed:
			return nil
		case !status.Initialized:
			return errors.New("not initialised and no peer joined yet (if all machines of Vault are new, run `pulumi up --refresh`)")
		case len(args.Keys) == 0:
			return fmt.Errorf("sealed, no keys are given, and its %s seal has not unsealed it", status.Type)
		case time.Since(sent) < joinPause:
			return errors.New("sealed, the keys were accepted")
		}
		sent = time.Now()
		ctx, cancel := context.WithTimeout(ctx, unsealTimeout)
		defer cancel()
		return args.sendKeys(ctx, node, status)
	}
}

// sendKeys gives the node as many keys as it asks for. A nil error means that it is unsealed.
func (args VaultUnsealArgs) sendKeys(ctx context.Context, node vaultNode, status *vault.SealStatusResponse) error {
	if len(args.Keys) < status.T {
		return final(fmt.Errorf("%s: Vault needs %d keys to be unsealed, keys has %d", node, status.T, len(args.Keys)))
	}
	// Keys that an interrupted run left there may be of another set, and would spoil this one.
	if status.Progress > 0 {
		if _, err := node.Sys().ResetUnsealProcessWithContext(ctx); err != nil {
			return err
		}
	}
	for _, key := range args.Keys[:status.T] {
		answer, err := node.Sys().UnsealWithContext(ctx, key)
		switch {
		case statusCode(err) == http.StatusBadRequest:
			return final(fmt.Errorf("%s: Vault does not accept the unseal keys: %s. They belong to another Vault, or it was rekeyed", node, describe(err)))
		case err != nil:
			return err
		case !answer.Sealed:
			return nil
		}
	}
	return errors.New("sealed, the keys were accepted")
}
