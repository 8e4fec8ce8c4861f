// Package introduction introduces new machines to Nomad: it makes the token with which a machine registers its client for the
// first time, and puts it where that machine alone may read it. Nomad's servers refuse clients that nobody has introduced.
//
// Nomad asks for the token once. After that, the client renews an identity of its own.
package introduction

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	nomad "github.com/hashicorp/nomad/api"
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

// lifetime is how long a machine has to register. Nomad gives less if its servers' max_identity_ttl is less.
const lifetime = 24 * time.Hour

// field is the token's in the secret.
const field = "token"

// Introduction lets a machine register as a client of Nomad: NomadIntroduction in Pulumi.
type Introduction struct{}

var (
	_ infer.CustomCheck[Args]         = Introduction{}
	_ infer.CustomDiff[Args, State]   = Introduction{}
	_ infer.CustomUpdate[Args, State] = Introduction{}
	_ infer.CustomRead[Args, State]   = Introduction{}
	_ infer.CustomDelete[State]       = Introduction{}
)

// Resource is the resource NomadIntroduction.
func Resource() infer.InferredResource { return infer.Resource(Introduction{}) }

// Args are the inputs of NomadIntroduction.
type Args struct {
	Machine   string          `pulumi:"machine" provider:"replaceOnChanges"`
	MachineID string          `pulumi:"machineId" provider:"replaceOnChanges"`
	NodePool  string          `pulumi:"nodePool,optional" provider:"replaceOnChanges"`
	Nomad     cluster.Cluster `pulumi:"nomad"`
	Vault     cluster.Cluster `pulumi:"vault"`
	Mount     string          `pulumi:"mount" provider:"replaceOnChanges"`
	Secret    string          `pulumi:"secret" provider:"replaceOnChanges"`
	Timeout   string          `pulumi:"timeout,optional"`
}

// State is what stays in the stack's state. The token is not there: nobody but the machine needs it.
type State struct{ Args }

// Annotate describes the resource in the schema.
func (r *Introduction) Annotate(a infer.Annotator) {
	a.SetToken("index", "NomadIntroduction")
	a.Describe(&r, "Lets a new machine register as a client of Nomad: makes an introduction token for its name and node pool, good for a "+
		"day, and keeps it in a version 2 key-value engine of Vault. Deleting the resource removes it there. Give it the machine's "+
		"identity as `machineId`: then another machine of the same name never finds the token of the one before.")
}

// Annotate describes the inputs in the schema.
func (args *Args) Annotate(a infer.Annotator) {
	a.Describe(&args.Machine, "Name of the machine, and of its client in Nomad.")
	a.Describe(&args.MachineID, "Identity of the machine, for example the ID of its server. Another one is introduced anew.")
	a.Describe(&args.NodePool, "The client's node pool. Default `default`.")
	a.SetDefault(&args.NodePool, "default")
	a.Describe(&args.Nomad, "Nomad, with a token that may write nodes.")
	a.Describe(&args.Vault, "Vault, with a token that may write and delete the secret.")
	a.Describe(&args.Mount, "Path of the version 2 key-value engine, for example `platform`.")
	a.Describe(&args.Secret, "Path of the secret below the mount. Its field `"+field+"` is the introduction token.")
	wait.DescribeTimeout(a, &args.Timeout)
}

// Check reports every problem of the inputs at once.
func (Introduction) Check(ctx context.Context, req infer.CheckRequest) (infer.CheckResponse[Args], error) {
	return check.Inputs(ctx, req, func(args *Args, c *check.Problems) {
		for name, value := range map[string]string{"machine": args.Machine, "mount": args.Mount, "secret": args.Secret} {
			if c.Known(name) && value == "" {
				c.Add(name, "must not be empty")
			}
		}
		c.Cluster("nomad", &args.Nomad, check.WithToken)
		c.Cluster("vault", &args.Vault, check.WithToken)
		c.Timeout(args.Timeout)
	})
}

// Diff is a replacement for another machine, and an update for every other change. The old token goes before the new machine
// comes, which would try the wrong one otherwise.
func (Introduction) Diff(_ context.Context, req infer.DiffRequest[Args, State]) (infer.DiffResponse, error) {
	diff := compare.Inputs(req.State.Args, req.Inputs)
	diff.DeleteBeforeReplace = compare.Replaces(diff)
	return diff, nil
}

// Create makes the token and keeps it in Vault.
func (Introduction) Create(ctx context.Context, req infer.CreateRequest[Args]) (infer.CreateResponse[State], error) {
	args := req.Inputs
	resp := infer.CreateResponse[State]{ID: args.Machine, Output: State{args}}
	if req.DryRun {
		return resp, nil
	}
	ctx, cancel, err := wait.Within(ctx, args.Timeout)
	if err != nil {
		return resp, err
	}
	defer cancel()
	token, err := args.token(ctx)
	if err != nil {
		return resp, err
	}
	return resp, args.inVault(ctx, "the introduction of "+args.Machine+" to be kept in Vault", func(ctx context.Context, server api.Vault) error {
		_, err := server.KVv2(args.Mount).Put(ctx, args.Secret, map[string]any{field: token})
		return err
	})
}

// Update records how the clusters are reached now.
func (Introduction) Update(_ context.Context, req infer.UpdateRequest[Args, State]) (infer.UpdateResponse[State], error) {
	return infer.UpdateResponse[State]{Output: State{req.Inputs}}, nil
}

// Read looks whether Vault still has the secret. If no server answers, the state stays as it is.
func (Introduction) Read(ctx context.Context, req infer.ReadRequest[Args, State]) (infer.ReadResponse[Args, State], error) {
	resp := infer.ReadResponse[Args, State](req)
	args := req.State.Args
	servers, err := api.ConnectVault(args.Vault)
	if err != nil {
		return resp, err
	}
	gone := false
	err = wait.AnyOf(servers, func(ctx context.Context, server api.Vault) error {
		ctx, cancel := context.WithTimeout(ctx, api.RequestTimeout)
		defer cancel()
		_, err := server.KVv2(args.Mount).GetMetadata(ctx, args.Secret)
		if gone = errors.Is(err, vault.ErrSecretNotFound); gone {
			return nil
		}
		return err
	})(ctx)
	if err != nil {
		p.GetLogger(ctx).Warningf("whether %s is introduced to Nomad is not known: %s", args.Machine, explain.Error(err))
	}
	if gone {
		return infer.ReadResponse[Args, State]{}, nil
	}
	return resp, nil
}

// Delete removes the token, with all its versions. One that is gone is no error.
func (Introduction) Delete(ctx context.Context, req infer.DeleteRequest[State]) (infer.DeleteResponse, error) {
	args := req.State.Args
	ctx, cancel, err := wait.Within(ctx, args.Timeout)
	if err != nil {
		return infer.DeleteResponse{}, err
	}
	defer cancel()
	return infer.DeleteResponse{}, args.inVault(ctx, "the introduction of "+args.Machine+" to be removed from Vault",
		func(ctx context.Context, server api.Vault) error {
			err := server.KVv2(args.Mount).DeleteMetadata(ctx, args.Secret)
			if explain.Status(err) == http.StatusNotFound {
				return nil // the engine itself is gone
			}
			return err
		})
}

// token asks Nomad for an introduction.
func (args Args) token(ctx context.Context) (token string, err error) {
	servers, err := api.ConnectNomad(args.Nomad)
	if err != nil {
		return "", err
	}
	return token, wait.Until(ctx, "Nomad to introduce "+args.Machine, wait.AnyOf(servers, func(ctx context.Context, server api.Nomad) error {
		made, _, err := server.ACLIdentity().CreateClientIntroductionToken(&nomad.ACLIdentityClientIntroductionTokenRequest{
			NodeName: args.Machine, NodePool: args.NodePool, TTL: lifetime,
		}, server.Writing(ctx))
		switch status := explain.Status(err); {
		case status == http.StatusForbidden:
			return wait.Final(fmt.Errorf("nomad.token may not write nodes: %s", explain.Error(err)))
		case err != nil:
			return err
		case made.JWT == "":
			return errors.New("an empty token")
		}
		token = made.JWT
		return nil
	}))
}

// inVault does something on one server of Vault, as soon as one can.
func (args Args) inVault(ctx context.Context, want string, do func(context.Context, api.Vault) error) error {
	servers, err := api.ConnectVault(args.Vault)
	if err != nil {
		return err
	}
	return wait.Until(ctx, want, wait.AnyOf(servers, func(ctx context.Context, server api.Vault) error {
		ctx, cancel := context.WithTimeout(ctx, api.RequestTimeout)
		defer cancel()
		err := do(ctx, server)
		if explain.Status(err) == http.StatusForbidden {
			return wait.Final(fmt.Errorf("vault.token may not do that: %s", explain.Error(err)))
		}
		return err
	}))
}
