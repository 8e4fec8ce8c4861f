package bootstrap

import (
	"context"
	"fmt"
	"strings"
	"time"

	vault "github.com/hashicorp/vault/api"
	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
)

// initTimeout bounds the one request that must not be cut short: Vault makes keys and writes them to its storage.
const initTimeout = time.Minute

// VaultInit initialises a new Vault cluster.
type VaultInit struct{}

var (
	_ infer.CustomCheck[VaultInitArgs]                          = VaultInit{}
	_ infer.CustomUpdate[VaultInitArgs, VaultInitState]         = VaultInit{}
	_ infer.CustomRead[VaultInitArgs, VaultInitState]           = VaultInit{}
	_ infer.ExplicitDependencies[VaultInitArgs, VaultInitState] = VaultInit{}
)

// VaultInitArgs are the inputs of VaultInit.
type VaultInitArgs struct {
	Nodes      []Node `pulumi:"nodes"`
	CaPem      string `pulumi:"caPem"`
	Shares     int    `pulumi:"shares,optional"`
	Threshold  int    `pulumi:"threshold,optional"`
	AutoUnseal bool   `pulumi:"autoUnseal,optional"`
	Timeout    string `pulumi:"timeout,optional"`
}

// VaultInitState is what stays in the stack's state. A Vault hands out its keys once: they live here and nowhere else.
type VaultInitState struct {
	VaultInitArgs
	RootToken    string   `pulumi:"rootToken" provider:"secret"`
	UnsealKeys   []string `pulumi:"unsealKeys" provider:"secret"`
	RecoveryKeys []string `pulumi:"recoveryKeys" provider:"secret"`
}

// Annotate describes the resource in the schema.
func (r *VaultInit) Annotate(a infer.Annotator) {
	a.Describe(&r, "Initialises a new Vault cluster: waits until every node answers, so that one which holds data is "+
		"not overlooked, and initialises the first. Deleting the resource does nothing: what it made goes with the machines.")
}

// Annotate describes the inputs in the schema.
func (args *VaultInitArgs) Annotate(a infer.Annotator) {
	a.Describe(&args.Nodes, "All servers of the cluster. The first one is initialised, the others join it.")
	a.Describe(&args.CaPem, "PEM certificates of the authorities that sign Vault's certificates. No others are trusted.")
	a.Describe(&args.Shares, "How many keys are made: unseal keys, or recovery keys with `autoUnseal`. Fixed once Vault is initialised.")
	a.SetDefault(&args.Shares, 5)
	a.Describe(&args.Threshold, "How many of the keys are needed to unseal or to recover. Fixed once Vault is initialised.")
	a.SetDefault(&args.Threshold, 3)
	a.Describe(&args.AutoUnseal, "Vault's configuration has a seal of a key management service: the keys are recovery keys. "+
		"Fixed once Vault is initialised.")
	describeTimeout(a, &args.Timeout)
}

func describeTimeout(a infer.Annotator, timeout *string) {
	a.Describe(timeout, "How long to wait, all in all, as a duration like `90s` or `10m`.")
	a.SetDefault(timeout, defaultTimeout)
}

// Annotate describes the outputs in the schema.
func (state *VaultInitState) Annotate(a infer.Annotator) {
	a.Describe(&state.RootToken, "Vault's initial root token.")
	a.Describe(&state.UnsealKeys, "The unseal keys, base64; empty with `autoUnseal`.")
	a.Describe(&state.RecoveryKeys, "The recovery keys, base64; empty without `autoUnseal`.")
}

// WireDependencies makes the keys secret wherever they go, and known in the preview of an update, which never
// changes them: without that, a new address would show as a change of everything that uses the root token.
func (VaultInit) WireDependencies(f infer.FieldSelector, args *VaultInitArgs, state *VaultInitState) {
	for _, key := range []any{&state.RootToken, &state.UnsealKeys, &state.RecoveryKeys} {
		f.OutputField(key).AlwaysSecret()
		f.OutputField(key).DependsOn(f.InputField(&args.Shares).Computed())
	}
}

// Check reports every problem of the inputs at once.
func (VaultInit) Check(ctx context.Context, req infer.CheckRequest) (infer.CheckResponse[VaultInitArgs], error) {
	args, failures, err := infer.DefaultCheck[VaultInitArgs](ctx, req.NewInputs)
	if err != nil || len(failures) > 0 {
		return infer.CheckResponse[VaultInitArgs]{Inputs: args, Failures: failures}, err
	}
	args.Nodes = listed(args.Nodes)
	c := problems{inputs: req.NewInputs}
	c.checkNodes("nodes", args.Nodes)
	c.checkAccess(args.CaPem, args.Timeout)
	if args.Shares < 1 || args.Shares > 255 {
		c.add("shares", "must be 1 to 255, got %d", args.Shares)
	}
	if args.Threshold < 1 || args.Threshold > args.Shares || args.Shares > 1 && args.Threshold == 1 {
		c.add("threshold", "must be 2 to the number of shares (%d), or 1 of 1, got %d", args.Shares, args.Threshold)
	}
	for name, now := range map[string]property.Value{
		"shares": property.New(float64(args.Shares)), "threshold": property.New(float64(args.Threshold)), "autoUnseal": property.New(args.AutoUnseal),
	} {
		// There is no value before the first update.
		if before := req.OldInputs.Get(name); !before.IsNull() && !before.Equals(now) {
			c.add(name, "is fixed once Vault is initialised, set it back. An operator changes the keys of a running Vault with "+
				"`vault operator rekey`, and must then keep the new ones: Vault shows them only to the one who asked")
		}
	}
	return infer.CheckResponse[VaultInitArgs]{Inputs: args, Failures: c.found}, nil
}

// Create initialises Vault. It is safe to interrupt and to run again up to the request that initialises; that
// request itself is finished even when the update is interrupted, because Vault gives its answer once.
func (VaultInit) Create(ctx context.Context, req infer.CreateRequest[VaultInitArgs]) (infer.CreateResponse[VaultInitState], error) {
	args := req.Inputs
	resp := infer.CreateResponse[VaultInitState]{ID: req.Name, Output: VaultInitState{
		VaultInitArgs: args, UnsealKeys: listed[string](nil), RecoveryKeys: listed[string](nil),
	}}
	if req.DryRun {
		return resp, nil
	}
	ctx, cancel, err := within(ctx, args.Timeout)
	if err != nil {
		return resp, err
	}
	defer cancel()
	nodes, err := connectVault(args.Nodes, args.CaPem)
	if err != nil {
		return resp, err
	}

	// A node that does not answer may be the one that holds data, so every one is heard first.
	for _, node := range nodes {
		if err := args.awaitEmpty(ctx, node); err != nil {
			return resp, err
		}
	}
	keys, err := args.initialise(ctx, nodes[0])
	if err != nil {
		return resp, err
	}
	resp.Output.RootToken = keys.RootToken
	// Lists that are empty rather than absent: a program can use them without a look at autoUnseal.
	resp.Output.UnsealKeys, resp.Output.RecoveryKeys = listed(keys.KeysB64), listed(keys.RecoveryKeysB64)
	return resp, nil
}

// awaitEmpty waits until the node answers that its Vault is not initialised.
func (args VaultInitArgs) awaitEmpty(ctx context.Context, node vaultNode) error {
	return until(ctx, "Vault on "+node.String()+" to answer", func(ctx context.Context) error {
		status, err := node.ask(ctx)
		switch {
		case err != nil:
			return err
		case status.Initialized:
			return final(args.notOurs(node))
		default:
			return nil
		}
	})
}

// initialise makes the request whose answer exists once.
func (args VaultInitArgs) initialise(ctx context.Context, node vaultNode) (*vault.InitResponse, error) {
	request := &vault.InitRequest{SecretShares: args.Shares, SecretThreshold: args.Threshold}
	if args.AutoUnseal {
		request = &vault.InitRequest{RecoveryShares: args.Shares, RecoveryThreshold: args.Threshold}
	}
	var keys *vault.InitResponse
	err := until(ctx, "Vault on "+node.String()+" to be initialised", func(ctx context.Context) error {
		// Detached from every deadline and from Ctrl-C: whoever hangs up here loses the keys.
		unhurried, cancel := context.WithTimeout(context.WithoutCancel(ctx), initTimeout)
		defer cancel()
		answer, err := node.Sys().InitWithContext(unhurried, request)
		if err == nil {
			keys = answer
			return nil
		}
		if status, statusErr := node.ask(unhurried); statusErr == nil && status.Initialized {
			return final(fmt.Errorf("%w (the request to initialise ended with: %s)", args.notOurs(node), describe(err)))
		}
		if code := statusCode(err); code >= 400 && code < 500 {
			return final(fmt.Errorf("initialise Vault on %s: %s", node, describe(err)))
		}
		return err
	})
	return keys, err
}

// notOurs is the error for a Vault that was initialised by a request whose keys this stack does not hold.
func (args VaultInitArgs) notOurs(node vaultNode) error {
	return fmt.Errorf("%s: Vault is already initialised, but this stack does not hold its keys: either an earlier update was "+
		"killed after Vault was initialised and before the answer was saved, or the machine carries data of another platform. "+
		"If the platform is new, nothing is lost: replace the machines that hold Vault's data with `%s`. "+
		"If it is not, restore the stack's state that holds the keys with `pulumi stack import`", node, replaceCommand(args.Nodes))
}

// Update takes over how Vault is reached; there is nothing to do to Vault itself.
func (VaultInit) Update(_ context.Context, req infer.UpdateRequest[VaultInitArgs, VaultInitState]) (infer.UpdateResponse[VaultInitState], error) {
	state := req.State
	state.VaultInitArgs = req.Inputs
	return infer.UpdateResponse[VaultInitState]{Output: state}, nil
}

// Read drops the resource from the state when all nodes say that they are not initialised, so that the next update
// initialises again. In any doubt it keeps the keys: they cannot be had a second time.
func (VaultInit) Read(ctx context.Context, req infer.ReadRequest[VaultInitArgs, VaultInitState]) (infer.ReadResponse[VaultInitArgs, VaultInitState], error) {
	kept := infer.ReadResponse[VaultInitArgs, VaultInitState](req)
	if req.State.RootToken == "" {
		return kept, fmt.Errorf("import of %s: Vault shows its keys only to the request that initialises it, so there is nothing to read them from", req.ID)
	}
	nodes, err := connectVault(req.State.Nodes, req.State.CaPem)
	if err != nil {
		return kept, err
	}
	var unheard []string
	for _, node := range nodes {
		switch status, err := node.ask(ctx); {
		case err != nil:
			unheard = append(unheard, node.Name+": "+describe(err))
		case status.Initialized:
			return kept, nil
		}
	}
	if len(unheard) > 0 {
		p.GetLogger(ctx).Warningf("whether Vault is still initialised is not known, its keys are kept: %s", strings.Join(unheard, "; "))
		return kept, nil
	}
	return infer.ReadResponse[VaultInitArgs, VaultInitState]{}, nil
}
