package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	vault "github.com/hashicorp/vault/api"
	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"

	"hashistack/provider/internal/api"
	"hashistack/provider/internal/check"
	"hashistack/provider/internal/cluster"
	"hashistack/provider/internal/compare"
	"hashistack/provider/internal/explain"
	"hashistack/provider/internal/wait"
)

const (
	// joinPause is how long a server that was given its keys may take to join its leader, before they are sent again.
	joinPause = 5 * time.Second
	// unsealTimeout bounds the request with the last key, which Vault answers when it has read its storage.
	unsealTimeout = 30 * time.Second
)

// Unseal unseals Vault on one machine, and sees that it takes part in its cluster: VaultUnseal in Pulumi.
type Unseal struct{}

var (
	_ infer.CustomCheck[UnsealArgs]                       = Unseal{}
	_ infer.CustomDiff[UnsealArgs, UnsealState]           = Unseal{}
	_ infer.CustomUpdate[UnsealArgs, UnsealState]         = Unseal{}
	_ infer.CustomRead[UnsealArgs, UnsealState]           = Unseal{}
	_ infer.ExplicitDependencies[UnsealArgs, UnsealState] = Unseal{}
)

// UnsealResource is the resource VaultUnseal.
func UnsealResource() infer.InferredResource { return infer.Resource(Unseal{}) }

// UnsealArgs are the inputs of VaultUnseal. It speaks to one server and never to its cluster, so it is given that server
// alone: another address of another one is no change to it.
type UnsealArgs struct {
	Node      cluster.Node `pulumi:"node"`
	MachineID string       `pulumi:"machineId,optional"`
	Keys      []string     `pulumi:"keys,optional" provider:"secret"`
	CaPem     string       `pulumi:"caPem"`
	Timeout   string       `pulumi:"timeout,optional"`
}

// UnsealState is what stays in the stack's state.
type UnsealState struct {
	UnsealArgs
	Sealed bool `pulumi:"sealed"`
}

// Annotate describes the resource in the schema.
func (r *Unseal) Annotate(a infer.Annotator) {
	a.SetToken("index", "VaultUnseal")
	a.Describe(&r, "Unseals Vault on one machine, and waits until it knows the cluster's active node. A refresh that finds it "+
		"sealed makes the next update unseal it. Deleting the resource does nothing.")
}

// Annotate describes the inputs in the schema.
func (args *UnsealArgs) Annotate(a infer.Annotator) {
	a.Describe(&args.Node, "The server to unseal.")
	a.Describe(&args.MachineID, "Identity of the machine, for example the ID of its server. A new machine has a sealed Vault, "+
		"so with a new value it is unsealed again.")
	a.Describe(&args.Keys, "Unseal keys, at least as many as Vault's threshold. Without any, Vault is expected to unseal itself.")
	a.Describe(&args.CaPem, "PEM certificates of the authorities that sign Vault's certificates. No others are trusted.")
	wait.DescribeTimeout(a, &args.Timeout)
}

// Annotate describes the outputs in the schema.
func (state *UnsealState) Annotate(a infer.Annotator) {
	a.Describe(&state.Sealed, "Whether Vault was sealed when it was last looked at.")
}

// WireDependencies keeps the keys secret in the outputs too.
func (Unseal) WireDependencies(f infer.FieldSelector, _ *UnsealArgs, state *UnsealState) {
	f.OutputField(&state.Keys).AlwaysSecret()
}

// Check reports every problem of the inputs at once.
func (Unseal) Check(ctx context.Context, req infer.CheckRequest) (infer.CheckResponse[UnsealArgs], error) {
	return check.Inputs(ctx, req, func(args *UnsealArgs, c *check.Problems) {
		args.Keys = check.Listed(args.Keys)
		c.Node("node", args.Node)
		c.Authorities("caPem", args.CaPem)
		c.Timeout(args.Timeout)
	})
}

// Diff is an update for every change, and for a sealed Vault. Nothing is a replacement: unsealing leaves nothing behind
// that could be replaced.
func (Unseal) Diff(_ context.Context, req infer.DiffRequest[UnsealArgs, UnsealState]) (infer.DiffResponse, error) {
	diff := compare.Inputs(req.State.UnsealArgs, req.Inputs)
	if req.State.Sealed {
		diff = compare.Output(diff, "sealed")
	}
	return diff, nil
}

// Create unseals the server.
func (Unseal) Create(ctx context.Context, req infer.CreateRequest[UnsealArgs]) (infer.CreateResponse[UnsealState], error) {
	state, err := req.Inputs.unseal(ctx, req.DryRun)
	return infer.CreateResponse[UnsealState]{ID: req.Name, Output: state}, err
}

// Update unseals the server if it is sealed.
func (Unseal) Update(ctx context.Context, req infer.UpdateRequest[UnsealArgs, UnsealState]) (infer.UpdateResponse[UnsealState], error) {
	state, err := req.Inputs.unseal(ctx, req.DryRun)
	return infer.UpdateResponse[UnsealState]{Output: state}, err
}

// Read looks whether the server is sealed. One that does not answer keeps its last known state.
func (Unseal) Read(ctx context.Context, req infer.ReadRequest[UnsealArgs, UnsealState]) (infer.ReadResponse[UnsealArgs, UnsealState], error) {
	resp := infer.ReadResponse[UnsealArgs, UnsealState](req)
	server, err := api.NewVault(req.State.Node, req.State.CaPem, "")
	if err != nil {
		return resp, err
	}
	status, err := server.Ask(ctx)
	if err != nil {
		p.GetLogger(ctx).Warningf("whether Vault on %s is sealed is not known: %s", server, explain.Error(err))
		return resp, nil
	}
	resp.State.Sealed = status.Sealed
	return resp, nil
}

// unseal waits for the server, gives it the keys it needs, and waits until it takes part in the cluster.
func (args UnsealArgs) unseal(ctx context.Context, dryRun bool) (UnsealState, error) {
	state := UnsealState{UnsealArgs: args}
	if dryRun {
		return state, nil
	}
	ctx, cancel, err := wait.Within(ctx, args.Timeout)
	if err != nil {
		return state, err
	}
	defer cancel()
	server, err := api.NewVault(args.Node, args.CaPem, "")
	if err != nil {
		return state, err
	}
	if err := wait.Until(ctx, "Vault on "+server.String()+" to be unsealed", Unsealer(server, args.Keys)); err != nil {
		return state, err
	}
	return state, wait.Until(ctx, "Vault on "+server.String()+" to work with its cluster's active node", server.Works)
}

// unsealing has a lock for each server, by its address. Vault counts the keys that it was given: those of two who unseal it at the
// same time would be taken for one wrong set.
var unsealing sync.Map

// Unsealer is a probe that gives a server the keys it needs. A standby takes them only when it has found its leader.
func Unsealer(server api.Vault, keys []string) func(context.Context) error {
	lock, _ := unsealing.LoadOrStore(server.Node.Address, &sync.Mutex{})
	var sent time.Time
	return func(ctx context.Context) error {
		lock.(*sync.Mutex).Lock()
		defer lock.(*sync.Mutex).Unlock()
		status, err := server.Ask(ctx)
		switch {
		case err != nil:
			return err
		case status.RemovedFromCluster != nil && *status.RemovedFromCluster:
			return wait.Final(fmt.Errorf("Vault on %s was removed from its cluster, and cannot come back: replace the machine with `pulumi up --replace '**:Server::%s'`",
				server, server.Name))
		case !status.Sealed:
			return nil
		case !status.Initialized:
			return errors.New("not initialised and no peer joined yet (if all machines of Vault are new, run `pulumi up --refresh`)")
		case len(keys) == 0:
			return fmt.Errorf("sealed, no keys are given, and its %s seal has not unsealed it", status.Type)
		case time.Since(sent) < joinPause:
			return errors.New("sealed, the keys were accepted")
		}
		sent = time.Now()
		ctx, cancel := context.WithTimeout(ctx, unsealTimeout)
		defer cancel()
		return sendKeys(ctx, server, status, keys)
	}
}

// sendKeys gives the server as many keys as it asks for. A nil error means that it is unsealed.
func sendKeys(ctx context.Context, server api.Vault, status *vault.SealStatusResponse, keys []string) error {
	if len(keys) < status.T {
		return wait.Final(fmt.Errorf("%s: Vault needs %d keys to be unsealed, keys has %d", server, status.T, len(keys)))
	}
	// Keys that an interrupted run left there may be of another set, and would spoil this one.
	if status.Progress > 0 {
		if _, err := server.Sys().ResetUnsealProcessWithContext(ctx); err != nil {
			return err
		}
	}
	for _, key := range keys[:status.T] {
		answer, err := server.Sys().UnsealWithContext(ctx, key)
		switch {
		case explain.Status(err) == http.StatusBadRequest:
			return wait.Final(fmt.Errorf("%s: Vault does not accept the unseal keys: %s. They belong to another Vault, or it was rekeyed", server, explain.Error(err)))
		case err != nil:
			return err
		case !answer.Sealed:
			return nil
		}
	}
	return errors.New("sealed, the keys were accepted")
}
