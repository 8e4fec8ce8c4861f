// Package token makes ACL tokens of Consul with a secret that the program has chosen beforehand. Consul's official provider lets
// Consul choose the secret, and has no output for it: every preview would have to ask Consul.
package token

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	consul "github.com/hashicorp/consul/api"
	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"

	"hashistack/provider/internal/api"
	"hashistack/provider/internal/check"
	"hashistack/provider/internal/cluster"
	"hashistack/provider/internal/compare"
	"hashistack/provider/internal/explain"
	"hashistack/provider/internal/wait"
)

// Consul is an ACL token of Consul: ConsulToken in Pulumi.
type Consul struct{}

var (
	_ infer.CustomCheck[Args]                 = Consul{}
	_ infer.CustomDiff[Args, State]           = Consul{}
	_ infer.CustomUpdate[Args, State]         = Consul{}
	_ infer.CustomRead[Args, State]           = Consul{}
	_ infer.CustomDelete[State]               = Consul{}
	_ infer.ExplicitDependencies[Args, State] = Consul{}
)

// Resource is the resource ConsulToken.
func Resource() infer.InferredResource { return infer.Resource(Consul{}) }

// Args are the inputs of ConsulToken.
type Args struct {
	Cluster     cluster.Cluster `pulumi:"cluster"`
	Description string          `pulumi:"description"`
	Policies    []string        `pulumi:"policies"`
	SecretID    string          `pulumi:"secretId" provider:"secret,replaceOnChanges"`
	Timeout     string          `pulumi:"timeout,optional"`
}

// State is what stays in the stack's state.
type State struct {
	Args
	AccessorID string `pulumi:"accessorId"`
	Token      string `pulumi:"token" provider:"secret"`
}

// Annotate describes the resource in the schema.
func (r *Consul) Annotate(a infer.Annotator) {
	a.SetToken("index", "ConsulToken")
	a.Describe(&r, "An ACL token of Consul whose secret is chosen beforehand. So the secret is in the state, a preview need not ask Consul "+
		"for it, and a creation that was interrupted is taken over by the next.")
}

// Annotate describes the inputs in the schema.
func (args *Args) Annotate(a infer.Annotator) {
	a.Describe(&args.Cluster, "Consul, with a token that may write ACLs.")
	a.Describe(&args.Description, "What the token is for; whoever lists tokens reads it.")
	a.Describe(&args.Policies, "Names of the token's policies, which exist.")
	a.Describe(&args.SecretID, "The token's secret, a UUID. Another one is another token: it is made before this one goes.")
	wait.DescribeTimeout(a, &args.Timeout)
}

// Annotate describes the outputs in the schema.
func (state *State) Annotate(a infer.Annotator) {
	a.Describe(&state.AccessorID, "Accessor of the token: names it without giving it away.")
	a.Describe(&state.Token, "The token; the same value as `secretId`, for what must come after its creation.")
}

// Check reports every problem of the inputs at once.
func (Consul) Check(ctx context.Context, req infer.CheckRequest) (infer.CheckResponse[Args], error) {
	return check.Inputs(ctx, req, func(args *Args, c *check.Problems) {
		c.Cluster("cluster", &args.Cluster, check.WithToken)
		c.Timeout(args.Timeout)
		if c.Known("description") && args.Description == "" {
			c.Add("description", "must not be empty")
		}
		if c.Known("policies") && (len(args.Policies) == 0 || slices.Contains(args.Policies, "")) {
			c.Add("policies", "must name at least one policy, and none by an empty name, got %q", args.Policies)
		}
		args.Policies = check.Listed(args.Policies)
		c.UUID("secretId", args.SecretID)
	})
}

// Diff is a replacement for another secret, and an update for every other change.
func (Consul) Diff(_ context.Context, req infer.DiffRequest[Args, State]) (infer.DiffResponse, error) {
	return compare.Inputs(req.State.Args, req.Inputs), nil
}

// WireDependencies makes the token secret wherever it goes. It also makes it known in the preview of an update, which never
// changes it.
func (Consul) WireDependencies(f infer.FieldSelector, args *Args, state *State) {
	f.OutputField(&state.SecretID).AlwaysSecret()
	f.OutputField(&state.Token).AlwaysSecret()
	f.OutputField(&state.Token).DependsOn(f.InputField(&args.SecretID))
}

// Create makes the token, or takes over the one that has the secret already.
func (Consul) Create(ctx context.Context, req infer.CreateRequest[Args]) (infer.CreateResponse[State], error) {
	resp := infer.CreateResponse[State]{ID: req.Name, Output: State{Args: req.Inputs}}
	if req.DryRun {
		return resp, nil
	}
	var err error
	resp.Output, err = req.Inputs.write(ctx)
	if resp.Output.AccessorID != "" {
		resp.ID = resp.Output.AccessorID
	}
	return resp, err
}

// Update gives the token its policies and its description.
func (Consul) Update(ctx context.Context, req infer.UpdateRequest[Args, State]) (infer.UpdateResponse[State], error) {
	output := req.State
	output.Args = req.Inputs
	if req.DryRun {
		return infer.UpdateResponse[State]{Output: output}, nil
	}
	if req.State.Description == req.Inputs.Description && slices.Equal(req.State.Policies, req.Inputs.Policies) {
		return infer.UpdateResponse[State]{Output: output}, nil // only how Consul is reached
	}
	output, err := req.Inputs.write(ctx)
	return infer.UpdateResponse[State]{Output: output}, err
}

// errUnknown says that a server does not know the token.
var errUnknown = errors.New("the token is not known")

// Read looks whether Consul still knows the token, and what it is. If no server answers, the state stays as it is.
func (Consul) Read(ctx context.Context, req infer.ReadRequest[Args, State]) (infer.ReadResponse[Args, State], error) {
	resp := infer.ReadResponse[Args, State](req)
	args := req.State.Args
	if args.SecretID == "" {
		return resp, fmt.Errorf("import of %s: not needed, a token with the secret `secretId` is taken over by creating the resource", req.ID)
	}
	servers, err := api.ConnectConsul(args.Cluster)
	if err != nil {
		return resp, err
	}
	var found *consul.ACLToken
	gone, err := wait.Gone(ctx, servers, errUnknown, func(ctx context.Context, server api.Consul) (err error) {
		if found, err = args.find(ctx, server); err == nil && found == nil {
			return errUnknown
		}
		return err
	})
	switch {
	case err != nil:
		p.GetLogger(ctx).Warningf("whether Consul still knows the token of %s is not known, it is kept: %s", args.Description, explain.Error(err))
	case gone:
		return infer.ReadResponse[Args, State]{}, nil
	default:
		resp.State.Description, resp.State.Policies = found.Description, policiesOf(found)
		resp.Inputs.Description, resp.Inputs.Policies = resp.State.Description, resp.State.Policies
	}
	return resp, nil
}

// Delete removes the token. One that is gone is no error.
func (Consul) Delete(ctx context.Context, req infer.DeleteRequest[State]) (infer.DeleteResponse, error) {
	args := req.State.Args
	ctx, cancel, err := wait.Within(ctx, args.Timeout)
	if err != nil {
		return infer.DeleteResponse{}, err
	}
	defer cancel()
	return infer.DeleteResponse{}, wait.Until(ctx, "Consul to remove the token of "+args.Description, func(ctx context.Context) error {
		return args.onAny(ctx, func(ctx context.Context, server api.Consul) error {
			found, err := args.find(ctx, server)
			if err != nil || found == nil {
				return err
			}
			_, err = server.ACL().TokenDelete(found.AccessorID, (&consul.WriteOptions{Token: server.Token}).WithContext(ctx))
			return refused(err)
		})
	})
}

// write makes the token as the inputs say, whether it exists or not.
func (args Args) write(ctx context.Context) (State, error) {
	state := State{Args: args}
	ctx, cancel, err := wait.Within(ctx, args.Timeout)
	if err != nil {
		return state, err
	}
	defer cancel()
	return state, wait.Until(ctx, "Consul to have the token of "+args.Description, func(ctx context.Context) error {
		return args.onAny(ctx, func(ctx context.Context, server api.Consul) error {
			found, err := args.find(ctx, server)
			if err != nil {
				return err
			}
			token := &consul.ACLToken{SecretID: args.SecretID, Description: args.Description}
			for _, name := range args.Policies {
				token.Policies = append(token.Policies, &consul.ACLTokenPolicyLink{Name: name})
			}
			options := (&consul.WriteOptions{Token: server.Token}).WithContext(ctx)
			switch {
			case found == nil:
				found, _, err = server.ACL().TokenCreate(token, options)
			case found.Description != args.Description || !slices.Equal(policiesOf(found), args.Policies):
				token.AccessorID = found.AccessorID
				found, _, err = server.ACL().TokenUpdate(token, options)
			}
			if err != nil {
				return refused(err)
			}
			state.AccessorID, state.Token = found.AccessorID, args.SecretID
			return nil
		})
	})
}

// find is the token with the secret, nil if there is none.
func (args Args) find(ctx context.Context, server api.Consul) (*consul.ACLToken, error) {
	found, _, err := server.ACL().TokenReadSelf((&consul.QueryOptions{Token: args.SecretID, RequireConsistent: true}).WithContext(ctx))
	if status := explain.Status(err); status == http.StatusForbidden || status == http.StatusNotFound {
		return nil, nil //nolint:nilnil // there is none, and that is no error
	}
	return found, err
}

// onAny asks one server after the other until one answers.
func (args Args) onAny(ctx context.Context, ask func(context.Context, api.Consul) error) error {
	servers, err := api.ConnectConsul(args.Cluster)
	if err != nil {
		return err
	}
	return wait.AnyOf(servers, ask)(ctx)
}

// refused marks what no waiting will change.
func refused(err error) error {
	if explain.Status(err) == http.StatusForbidden {
		return wait.Final(errors.New("cluster.token may not write ACLs, or a policy does not exist: " + explain.Error(err)))
	}
	return err
}

// policiesOf are the names of a token's policies.
func policiesOf(token *consul.ACLToken) []string {
	policies := []string{}
	for _, link := range token.Policies {
		policies = append(policies, link.Name)
	}
	return policies
}
