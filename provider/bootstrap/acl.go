package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/google/uuid"
	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
)

// ACLBootstrapArgs are the inputs of ConsulBootstrap and NomadBootstrap.
type ACLBootstrapArgs struct {
	Nodes           []Node   `pulumi:"nodes"`
	MachineIDs      []string `pulumi:"machineIds,optional"`
	CaPem           string   `pulumi:"caPem"`
	ExpectedVoters  int      `pulumi:"expectedVoters"`
	BootstrapSecret string   `pulumi:"bootstrapSecret" provider:"secret,replaceOnChanges"`
	Timeout         string   `pulumi:"timeout,optional"`
}

// ACLBootstrapState is what stays in the stack's state.
type ACLBootstrapState struct {
	ACLBootstrapArgs
	AccessorID string `pulumi:"accessorId"`
	Token      string `pulumi:"token" provider:"secret"`
}

// Annotate describes the inputs in the schema.
func (args *ACLBootstrapArgs) Annotate(a infer.Annotator) {
	a.Describe(&args.Nodes, "All servers of the cluster; each is asked in turn until one answers.")
	a.Describe(&args.MachineIDs, "Identities of the machines, for example the IDs of their servers: with others, an update waits "+
		"until all servers are there again, so that whatever relies on one of them finds it.")
	a.Describe(&args.CaPem, "PEM certificates of the authorities that sign the servers' certificates. No others are trusted.")
	a.Describe(&args.ExpectedVoters, "How many voters the cluster must have, all of them healthy, before anything may rely on it.")
	a.Describe(&args.BootstrapSecret, "The secret of the management token, a UUID chosen beforehand: an interrupted bootstrap "+
		"can then be resumed.")
	describeTimeout(a, &args.Timeout)
}

// Annotate describes the outputs in the schema.
func (state *ACLBootstrapState) Annotate(a infer.Annotator) {
	a.Describe(&state.AccessorID, "Accessor of the management token: names it without giving it away.")
	a.Describe(&state.Token, "The management token; the same value as `bootstrapSecret`, for what must come after the bootstrap.")
}

// aclServer is what the bootstrap needs of one server of Consul or Nomad. All methods bound their requests.
type aclServer interface {
	fmt.Stringer
	// leader and peers need no token. No leader is an empty string.
	leader(context.Context) (string, error)
	peers(context.Context) ([]string, error)
	// bootstrap returns the accessor, or errDone if the cluster was bootstrapped before.
	bootstrap(context.Context) (accessor string, err error)
	// self returns the accessor of the token that the server was given, or errUnknownToken.
	self(context.Context) (accessor string, err error)
	voters(context.Context) (int, error)
	// unhealthy names the servers that autopilot does not find healthy.
	unhealthy(context.Context) ([]string, error)
}

// aclProduct is what differs between Consul and Nomad.
type aclProduct struct {
	name string
	// resetFile is where, below the data directory of the leader, the product looks for leave to bootstrap once more.
	resetFile string
	connect   func(Node, ACLBootstrapArgs) (aclServer, error)
}

// errDone says that a cluster's ACLs were bootstrapped before. resetIndex is the number that allows it once more.
type errDone struct{ resetIndex string }

func (e errDone) Error() string { return "already bootstrapped" }

var resetIndex = regexp.MustCompile(`reset index: (\d+)`)

// asDone finds the refusal of a second bootstrap in the text of err.
func asDone(err error) error {
	if found := resetIndex.FindStringSubmatch(describe(err)); found != nil {
		return errDone{found[1]}
	}
	return err
}

// errUnknownToken says that a cluster does not know a token as a management token.
var errUnknownToken = errors.New("the cluster does not know the token")

func (product aclProduct) check(ctx context.Context, req infer.CheckRequest) (infer.CheckResponse[ACLBootstrapArgs], error) {
	args, failures, err := infer.DefaultCheck[ACLBootstrapArgs](ctx, req.NewInputs)
	if err != nil || len(failures) > 0 {
		return infer.CheckResponse[ACLBootstrapArgs]{Inputs: args, Failures: failures}, err
	}
	args.Nodes, args.MachineIDs = listed(args.Nodes), listed(args.MachineIDs)
	c := problems{inputs: req.NewInputs}
	c.checkNodes("nodes", args.Nodes)
	c.checkAccess(args.CaPem, args.Timeout)
	if c.known("expectedVoters") && args.ExpectedVoters < 1 {
		c.add("expectedVoters", "must be at least 1, got %d", args.ExpectedVoters)
	}
	if c.known("bootstrapSecret") && (len(args.BootstrapSecret) != 36 || uuid.Validate(args.BootstrapSecret) != nil) {
		// The value is a secret even when it is wrong.
		c.add("bootstrapSecret", "must be a UUID like 8f2d7b64-…, got %d characters of another form", len(args.BootstrapSecret))
	}
	return infer.CheckResponse[ACLBootstrapArgs]{Inputs: args, Failures: c.found}, nil
}

func (product aclProduct) servers(args ACLBootstrapArgs) ([]aclServer, error) {
	servers := make([]aclServer, 0, len(args.Nodes))
	for _, node := range args.Nodes {
		server, err := product.connect(node, args)
		if err != nil {
			return nil, fmt.Errorf("make a %s client for %s: %w", product.name, node, err)
		}
		servers = append(servers, server)
	}
	return servers, nil
}

// create bootstraps the ACLs, or takes over a bootstrap that was made with the same secret, and waits until the cluster
// has its voters and is healthy. Everything in it may be repeated.
func (product aclProduct) create(ctx context.Context, req infer.CreateRequest[ACLBootstrapArgs]) (infer.CreateResponse[ACLBootstrapState], error) {
	args := req.Inputs
	resp := infer.CreateResponse[ACLBootstrapState]{ID: req.Name, Output: ACLBootstrapState{ACLBootstrapArgs: args}}
	if req.DryRun {
		return resp, nil
	}
	ctx, cancel, err := within(ctx, args.Timeout)
	if err != nil {
		return resp, err
	}
	defer cancel()
	servers, err := product.servers(args)
	if err != nil {
		return resp, err
	}

	// Before the bootstrap only what is open to everyone can be seen; it tells a cluster from a server on its own.
	want := fmt.Sprintf("%s to have a leader and %d peers", product.name, args.ExpectedVoters)
	if err := until(ctx, want, anyOf(servers, func(ctx context.Context, server aclServer) error {
		return gathered(ctx, server, args.ExpectedVoters)
	})); err != nil {
		return resp, err
	}
	if err := until(ctx, "the ACL system of "+product.name+" to be bootstrapped", anyOf(servers, func(ctx context.Context, server aclServer) error {
		accessor, err := product.bootstrapOrAdopt(ctx, server, args)
		resp.Output.AccessorID = accessor
		return err
	})); err != nil {
		return resp, err
	}
	resp.Output.Token = args.BootstrapSecret

	want = fmt.Sprintf("%s to have %d voters, all healthy", product.name, args.ExpectedVoters)
	return resp, until(ctx, want, allHealthy(servers, args.ExpectedVoters))
}

// gathered returns nil if the server knows a leader and enough peers.
func gathered(ctx context.Context, server aclServer, want int) error {
	leader, err := server.leader(ctx)
	if err != nil {
		return err
	}
	if leader == "" {
		return errors.New("no leader")
	}
	peers, err := server.peers(ctx)
	if err != nil {
		return err
	}
	if len(peers) < want {
		return fmt.Errorf("leader %s and %d of %d peers", leader, len(peers), want)
	}
	return nil
}

// allHealthy is a probe of the cluster's health, as whichever server answers sees it.
func allHealthy(servers []aclServer, want int) func(context.Context) error {
	return anyOf(servers, func(ctx context.Context, server aclServer) error { return healthy(ctx, server, want) })
}

// healthy returns nil if the cluster has enough voters and its autopilot finds nothing wrong with any server.
func healthy(ctx context.Context, server aclServer, want int) error {
	voters, err := server.voters(ctx)
	if err != nil {
		return err
	}
	if voters < want {
		return fmt.Errorf("%d of %d voters", voters, want)
	}
	unhealthy, err := server.unhealthy(ctx)
	if err != nil {
		return err
	}
	if len(unhealthy) > 0 {
		return fmt.Errorf("%d voters, not healthy: %s", voters, strings.Join(unhealthy, ", "))
	}
	return nil
}

func (product aclProduct) bootstrapOrAdopt(ctx context.Context, server aclServer, args ACLBootstrapArgs) (accessor string, err error) {
	accessor, err = server.bootstrap(ctx)
	var done errDone
	if !errors.As(err, &done) {
		return accessor, err
	}
	accessor, err = server.self(ctx)
	if !errors.Is(err, errUnknownToken) {
		return accessor, err
	}
	leader, err := server.leader(ctx)
	if err != nil || leader == "" {
		leader = "unknown now"
	}
	return "", final(fmt.Errorf("the ACL system of %s is already bootstrapped, and bootstrapSecret is not its management token: either it "+
		"was bootstrapped with another secret, or the token was deleted. Give the management token as bootstrapSecret; or let %[1]s be "+
		"bootstrapped once more: on its leader (%s) run `echo %s > DATA_DIR/%s`, then `pulumi up` again; or, if the platform is new, "+
		"replace the machines with `%s`", product.name, leader, done.resetIndex, product.resetFile, replaceCommand(args.Nodes)))
}

// update takes over how the cluster is reached; the token stays as it is. New machines are waited for.
func (product aclProduct) update(
	ctx context.Context, req infer.UpdateRequest[ACLBootstrapArgs, ACLBootstrapState],
) (infer.UpdateResponse[ACLBootstrapState], error) {
	args := req.Inputs
	resp := infer.UpdateResponse[ACLBootstrapState]{Output: req.State}
	resp.Output.ACLBootstrapArgs = args
	if req.DryRun || slices.Equal(args.MachineIDs, req.State.MachineIDs) {
		return resp, nil
	}
	ctx, cancel, err := within(ctx, args.Timeout)
	if err != nil {
		return resp, err
	}
	defer cancel()
	servers, err := product.servers(args)
	if err != nil {
		return resp, err
	}
	want := fmt.Sprintf("every server of %s to answer, and %d voters, all healthy", product.name, args.ExpectedVoters)
	return resp, until(ctx, want, func(ctx context.Context) error {
		for _, server := range servers {
			// One that has not heard of the token yet has not caught up with the others.
			if _, err := server.self(ctx); err != nil {
				return fmt.Errorf("%s: %s", server, describe(err))
			}
		}
		return allHealthy(servers, args.ExpectedVoters)(ctx)
	})
}

// read drops the resource from the state when the cluster does not know the token any more, so that the next update
// bootstraps again: a new cluster lets it, a running one says how. A cluster that does not answer keeps its token, and
// one that is not healthy is no difference to the state: both are warnings.
func (product aclProduct) read(ctx context.Context, req infer.ReadRequest[ACLBootstrapArgs, ACLBootstrapState]) (infer.ReadResponse[ACLBootstrapArgs, ACLBootstrapState], error) {
	kept := infer.ReadResponse[ACLBootstrapArgs, ACLBootstrapState](req)
	if req.State.Token == "" {
		return kept, fmt.Errorf("import of %s: not needed, a %s that was bootstrapped with bootstrapSecret is taken over by creating the resource", req.ID, product.name)
	}
	servers, err := product.servers(req.State.ACLBootstrapArgs)
	if err != nil {
		return kept, err
	}
	err = anyOf(servers, func(ctx context.Context, server aclServer) error {
		_, err := server.self(ctx)
		if errors.Is(err, errUnknownToken) {
			return final(err)
		}
		return err
	})(ctx)
	switch {
	case errors.Is(err, errUnknownToken):
		return infer.ReadResponse[ACLBootstrapArgs, ACLBootstrapState]{}, nil
	case err != nil:
		p.GetLogger(ctx).Warningf("whether %s still knows the management token is not known, it is kept: %s", product.name, err)
		return kept, nil
	}
	if err := allHealthy(servers, req.State.ExpectedVoters)(ctx); err != nil {
		p.GetLogger(ctx).Warningf("%s is not as it should be: %s", product.name, err)
	}
	return kept, nil
}

// wireToken makes the token secret wherever it goes, and known in the preview of an update, which never changes it.
func wireToken(f infer.FieldSelector, args *ACLBootstrapArgs, state *ACLBootstrapState) {
	f.OutputField(&state.BootstrapSecret).AlwaysSecret()
	f.OutputField(&state.Token).AlwaysSecret()
	f.OutputField(&state.Token).DependsOn(f.InputField(&args.BootstrapSecret))
}
