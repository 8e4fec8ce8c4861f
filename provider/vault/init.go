// Package vault initialises a Vault cluster, which happens once, and unseals its servers, which every start of one needs.
package vault

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	vault "github.com/hashicorp/vault/api"
	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"hashistack/provider/internal/api"
	"hashistack/provider/internal/check"
	"hashistack/provider/internal/cluster"
	"hashistack/provider/internal/compare"
	"hashistack/provider/internal/explain"
	"hashistack/provider/internal/migrate"
	"hashistack/provider/internal/wait"
)

// initTimeout bounds the one request that must not be cut short: Vault makes keys and writes them to its storage.
const initTimeout = time.Minute

// Init initialises a new Vault cluster: VaultInit in Pulumi.
type Init struct{}

var (
	_ infer.CustomCheck[InitArgs]                     = Init{}
	_ infer.CustomDiff[InitArgs, InitState]           = Init{}
	_ infer.CustomUpdate[InitArgs, InitState]         = Init{}
	_ infer.CustomRead[InitArgs, InitState]           = Init{}
	_ infer.ExplicitDependencies[InitArgs, InitState] = Init{}
)

// InitResource is the resource VaultInit.
func InitResource() infer.InferredResource {
	return migrate.Resource(infer.Resource(Init{}), reshapeInit)
}

// InitArgs are the inputs of VaultInit.
type InitArgs struct {
	Cluster    cluster.Cluster `pulumi:"cluster"`
	Shares     int             `pulumi:"shares,optional"`
	Threshold  int             `pulumi:"threshold,optional"`
	AutoUnseal bool            `pulumi:"autoUnseal,optional"`
	PgpKeys    []string        `pulumi:"pgpKeys,optional"`
	Timeout    string          `pulumi:"timeout,optional"`
}

// InitState is what stays in the stack's state. A Vault hands out its keys once: they are here and nowhere else.
type InitState struct {
	InitArgs
	RootToken    string   `pulumi:"rootToken" provider:"secret"`
	UnsealKeys   []string `pulumi:"unsealKeys" provider:"secret"`
	RecoveryKeys []string `pulumi:"recoveryKeys" provider:"secret"`
}

// Annotate describes the resource in the schema.
func (r *Init) Annotate(a infer.Annotator) {
	a.SetToken("index", "VaultInit")
	a.Describe(&r, "Initialises a new Vault cluster: waits until every node answers, so that one which holds data is "+
		"not overlooked, and initialises the first. Deleting the resource does nothing: what it made goes with the machines.")
}

// Annotate describes the inputs in the schema.
func (args *InitArgs) Annotate(a infer.Annotator) {
	a.Describe(&args.Cluster, "The cluster, without a token. Its first node is initialised, the others join it.")
	a.Describe(&args.Shares, "How many keys are made: unseal keys, or recovery keys with `autoUnseal`. Fixed once Vault is initialised.")
	a.SetDefault(&args.Shares, 5)
	a.Describe(&args.Threshold, "How many of the keys are needed to unseal or to recover. Fixed once Vault is initialised.")
	a.SetDefault(&args.Threshold, 3)
	a.Describe(&args.AutoUnseal, "Vault's configuration has a seal of a key management service: the keys are recovery keys. "+
		"Fixed once Vault is initialised.")
	a.Describe(&args.PgpKeys, "OpenPGP public keys, the binary form in base64, one for each of the `shares`: Vault encrypts every recovery key "+
		"for one of them, so that nobody else can read it. Only with `autoUnseal`. Fixed once Vault is initialised.")
	wait.DescribeTimeout(a, &args.Timeout)
}

// Annotate describes the outputs in the schema.
func (state *InitState) Annotate(a infer.Annotator) {
	a.Describe(&state.RootToken, "Vault's initial root token.")
	a.Describe(&state.UnsealKeys, "The unseal keys, base64; empty with `autoUnseal`.")
	a.Describe(&state.RecoveryKeys, "The recovery keys, base64, with `pgpKeys` as OpenPGP messages; empty without `autoUnseal`.")
}

// WireDependencies makes the keys secret wherever they go. It also makes them known in the preview of an update, which
// never changes them: otherwise a new address would show as a change of everything that uses the root token.
func (Init) WireDependencies(f infer.FieldSelector, args *InitArgs, state *InitState) {
	for _, key := range []any{&state.RootToken, &state.UnsealKeys, &state.RecoveryKeys} {
		f.OutputField(key).AlwaysSecret()
		f.OutputField(key).DependsOn(f.InputField(&args.Shares).Computed())
	}
}

// Check reports every problem of the inputs at once.
func (Init) Check(ctx context.Context, req infer.CheckRequest) (infer.CheckResponse[InitArgs], error) {
	return check.Inputs(ctx, req, func(args *InitArgs, c *check.Problems) {
		c.Cluster("cluster", &args.Cluster, check.WithoutToken)
		c.Timeout(args.Timeout)
		if args.Shares < 1 || args.Shares > 255 {
			c.Add("shares", "must be 1 to 255, got %d", args.Shares)
		}
		if args.Threshold < 1 || args.Threshold > args.Shares || args.Shares > 1 && args.Threshold == 1 {
			c.Add("threshold", "must be 2 to the number of shares (%d), or 1 of 1, got %d", args.Shares, args.Threshold)
		}
		args.checkKeys(req.OldInputs, c)
		args.checkFixed(req.OldInputs, c)
	})
}

// checkFixed finds changes of what a running Vault does not let anybody change this way.
func (args InitArgs) checkFixed(old property.Map, c *check.Problems) {
	for name, now := range map[string]property.Value{
		"shares": property.New(float64(args.Shares)), "threshold": property.New(float64(args.Threshold)), "autoUnseal": property.New(args.AutoUnseal),
	} {
		// There is no value before the first update.
		if before := old.Get(name); !before.IsNull() && !before.Equals(now) {
			c.Add(name, fixed)
		}
	}
	if isNew := old.Get("shares").IsNull(); !isNew && !slices.Equal(fingerprints(listOf(old.Get("pgpKeys"))), fingerprints(args.PgpKeys)) {
		c.Add("pgpKeys", fixed)
	}
}

const fixed = "is fixed once Vault is initialised, set it back. An operator changes the keys of a running Vault with " +
	"`vault operator rekey`, and must then keep the new ones: Vault shows them only to the one who asked"

// Diff is an update for every change.
func (Init) Diff(_ context.Context, req infer.DiffRequest[InitArgs, InitState]) (infer.DiffResponse, error) {
	return compare.Inputs(req.State.InitArgs, req.Inputs), nil
}

// Create initialises Vault. It is safe to interrupt and to run again up to the request that initialises. That request is
// finished even when the update is interrupted, because Vault gives its answer once.
func (Init) Create(ctx context.Context, req infer.CreateRequest[InitArgs]) (infer.CreateResponse[InitState], error) {
	args := req.Inputs
	// Lists that are empty rather than absent: a program can use them without a look at autoUnseal.
	resp := infer.CreateResponse[InitState]{ID: req.Name, Output: InitState{
		InitArgs: args, UnsealKeys: check.Listed[string](nil), RecoveryKeys: check.Listed[string](nil),
	}}
	if req.DryRun {
		return resp, nil
	}
	ctx, cancel, err := wait.Within(ctx, args.Timeout)
	if err != nil {
		return resp, err
	}
	defer cancel()
	servers, err := api.ConnectVault(args.Cluster)
	if err != nil {
		return resp, err
	}

	// A node that does not answer may be the one that holds data, so every one is heard first.
	for _, server := range servers {
		if err := args.awaitEmpty(ctx, server); err != nil {
			return resp, err
		}
	}
	keys, err := args.initialise(ctx, servers[0])
	if err != nil {
		return resp, err
	}
	resp.Output.RootToken = keys.RootToken
	resp.Output.UnsealKeys, resp.Output.RecoveryKeys = check.Listed(keys.KeysB64), check.Listed(keys.RecoveryKeysB64)
	return resp, nil
}

// awaitEmpty waits until the node answers that its Vault is not initialised.
func (args InitArgs) awaitEmpty(ctx context.Context, server api.Vault) error {
	return wait.Until(ctx, "Vault on "+server.String()+" to answer", func(ctx context.Context) error {
		status, err := server.Ask(ctx)
		switch {
		case err != nil:
			return err
		case status.Initialized:
			return wait.Final(args.notOurs(server))
		default:
			return nil
		}
	})
}

// initialise makes the request whose answer exists once.
func (args InitArgs) initialise(ctx context.Context, server api.Vault) (*vault.InitResponse, error) {
	request := &vault.InitRequest{SecretShares: args.Shares, SecretThreshold: args.Threshold}
	if args.AutoUnseal {
		request = &vault.InitRequest{RecoveryShares: args.Shares, RecoveryThreshold: args.Threshold, RecoveryPGPKeys: args.PgpKeys}
	}
	var keys *vault.InitResponse
	err := wait.Until(ctx, "Vault on "+server.String()+" to be initialised", func(ctx context.Context) error {
		// Detached from every deadline and from Ctrl-C: who hangs up here loses the keys.
		unhurried, cancel := context.WithTimeout(context.WithoutCancel(ctx), initTimeout)
		defer cancel()
		answer, err := server.Sys().InitWithContext(unhurried, request)
		if err == nil {
			keys = answer
			return nil
		}
		if status, statusErr := server.Ask(unhurried); statusErr == nil && status.Initialized {
			return wait.Final(fmt.Errorf("%w (the request to initialise ended with: %s)", args.notOurs(server), explain.Error(err)))
		}
		if code := explain.Status(err); code >= 400 && code < 500 {
			return wait.Final(fmt.Errorf("initialise Vault on %s: %s", server, explain.Error(err)))
		}
		return err
	})
	return keys, err
}

// notOurs is the error for a Vault that was initialised by a request whose keys this stack does not hold.
func (args InitArgs) notOurs(server api.Vault) error {
	return fmt.Errorf("%s: Vault is already initialised, but this stack does not hold its keys: either an earlier update was "+
		"killed after Vault was initialised and before the answer was saved, or the stack's state was lost, which has the only copy of the keys. "+
		"Restore the state that has them with `pulumi stack import`. If nothing has ever been stored in this Vault, see RUNBOOK.md, "+
		"\"Vault is initialised, but its keys were never recorded\"", server)
}

// listed is the state with lists of keys that are empty rather than absent, which infer makes of an empty list when it reads one. The
// next update could not read a state without them.
func (state InitState) listed() InitState {
	state.UnsealKeys, state.RecoveryKeys = check.Listed(state.UnsealKeys), check.Listed(state.RecoveryKeys)
	return state
}

// Update records how Vault is reached now. There is nothing to do to Vault itself.
func (Init) Update(_ context.Context, req infer.UpdateRequest[InitArgs, InitState]) (infer.UpdateResponse[InitState], error) {
	state := req.State.listed()
	state.InitArgs = req.Inputs
	return infer.UpdateResponse[InitState]{Output: state}, nil
}

// Read drops the resource from the state when all nodes say that they are not initialised. The next update then
// initialises again. In any doubt it keeps the keys: Vault does not show them a second time.
func (Init) Read(ctx context.Context, req infer.ReadRequest[InitArgs, InitState]) (infer.ReadResponse[InitArgs, InitState], error) {
	kept := infer.ReadResponse[InitArgs, InitState](req)
	kept.State = kept.State.listed()
	if req.State.RootToken == "" {
		return kept, fmt.Errorf("import of %s: Vault shows its keys only to the request that initialises it, so there is nothing to read them from", req.ID)
	}
	servers, err := api.ConnectVault(req.State.Cluster)
	if err != nil {
		return kept, err
	}
	var unheard []string
	for _, server := range servers {
		switch status, err := server.Ask(ctx); {
		case err != nil:
			unheard = append(unheard, server.Name+": "+explain.Error(err))
		case status.Initialized:
			return kept, nil
		}
	}
	if len(unheard) > 0 {
		p.GetLogger(ctx).Warningf("whether Vault is still initialised is not known, its keys are kept: %s", strings.Join(unheard, "; "))
		return kept, nil
	}
	return infer.ReadResponse[InitArgs, InitState]{}, nil
}
