package acl

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"

	"hashistack/provider/internal/cluster"
	"hashistack/provider/internal/explain"
	"hashistack/provider/internal/wait"
)

// server is what the bootstrap needs of one server of Consul or Nomad. All methods bound their requests.
type server interface {
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

// product is what differs between Consul and Nomad.
type product struct {
	name string
	// resetFile is the file in the leader's data directory with which the product lets itself be bootstrapped once more.
	resetFile string
	connect   func(node cluster.Node, caPem, secret string) (server, error)
}

// errDone says that a cluster's ACLs were bootstrapped before. resetIndex is the number that allows it once more.
type errDone struct{ resetIndex string }

func (e errDone) Error() string { return "already bootstrapped" }

var resetIndex = regexp.MustCompile(`reset index: (\d+)`)

// asDone finds the refusal of a second bootstrap in the text of err.
func asDone(err error) error {
	if found := resetIndex.FindStringSubmatch(explain.Error(err)); found != nil {
		return errDone{found[1]}
	}
	return err
}

// errUnknownToken says that a cluster does not know a token as a management token.
var errUnknownToken = errors.New("the cluster does not know the token")

func (product product) servers(args Args) ([]server, error) {
	servers := make([]server, 0, len(args.Cluster.Nodes))
	for _, node := range args.Cluster.Nodes {
		server, err := product.connect(node, args.Cluster.CaPem, args.BootstrapSecret)
		if err != nil {
			return nil, fmt.Errorf("make a %s client for %s: %w", product.name, node, err)
		}
		servers = append(servers, server)
	}
	return servers, nil
}

// Create bootstraps the ACLs, or takes over a bootstrap that was made with the same secret, and waits until the cluster
// has its voters and is healthy. Everything in it may be repeated.
func (b bootstrap) Create(ctx context.Context, req infer.CreateRequest[Args]) (infer.CreateResponse[State], error) {
	args := req.Inputs
	resp := infer.CreateResponse[State]{ID: req.Name, Output: State{Args: args}}
	if req.DryRun {
		return resp, nil
	}
	ctx, cancel, err := wait.Within(ctx, args.Timeout)
	if err != nil {
		return resp, err
	}
	defer cancel()
	servers, err := b.product.servers(args)
	if err != nil {
		return resp, err
	}

	// Before the bootstrap only what is open to everyone can be seen. It is enough to tell a cluster from a single server.
	want := fmt.Sprintf("%s to have a leader and %d peers", b.product.name, args.ExpectedVoters)
	if err := wait.Until(ctx, want, wait.AnyOf(servers, func(ctx context.Context, server server) error {
		return gathered(ctx, server, args.ExpectedVoters)
	})); err != nil {
		return resp, err
	}
	want = "the ACL system of " + b.product.name + " to be bootstrapped"
	if err := wait.Until(ctx, want, wait.AnyOf(servers, func(ctx context.Context, server server) error {
		accessor, err := b.product.bootstrapOrAdopt(ctx, server)
		resp.Output.AccessorID = accessor
		return err
	})); err != nil {
		return resp, err
	}
	resp.Output.Token = args.BootstrapSecret

	want = fmt.Sprintf("%s to have %d voters, all healthy", b.product.name, args.ExpectedVoters)
	return resp, wait.Until(ctx, want, allHealthy(servers, args.ExpectedVoters))
}

// gathered returns nil if the server knows a leader and enough peers.
func gathered(ctx context.Context, server server, want int) error {
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

// allHealthy is a probe of the cluster's health, as the first server that answers sees it.
func allHealthy(servers []server, want int) func(context.Context) error {
	return wait.AnyOf(servers, func(ctx context.Context, server server) error { return healthy(ctx, server, want) })
}

// healthy returns nil if the cluster has enough voters and its autopilot finds nothing wrong with any server.
func healthy(ctx context.Context, server server, want int) error {
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

func (product product) bootstrapOrAdopt(ctx context.Context, server server) (accessor string, err error) {
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
	return "", wait.Final(fmt.Errorf("the ACL system of %s is already bootstrapped, and bootstrapSecret is not its management token: either it "+
		"was bootstrapped with another secret, or the token was deleted. Give the management token as bootstrapSecret; or let %[1]s be "+
		"bootstrapped once more: on its leader (%s) run `echo %s > DATA_DIR/%s`, then `pulumi up` again",
		product.name, leader, done.resetIndex, product.resetFile))
}

// Update records how the cluster is reached now. The token stays as it is.
func (b bootstrap) Update(_ context.Context, req infer.UpdateRequest[Args, State]) (infer.UpdateResponse[State], error) {
	resp := infer.UpdateResponse[State]{Output: req.State}
	resp.Output.Args = req.Inputs
	return resp, nil
}

// Read drops the resource from the state when the cluster does not know the token any more. The next update then
// bootstraps again: a new cluster allows it, and one that was bootstrapped otherwise makes the update fail with a remedy.
// A cluster that does not answer keeps its token; one that is not healthy is the same to the state. Both get a warning.
func (b bootstrap) Read(ctx context.Context, req infer.ReadRequest[Args, State]) (infer.ReadResponse[Args, State], error) {
	kept := infer.ReadResponse[Args, State](req)
	if req.State.Token == "" {
		return kept, fmt.Errorf("import of %s: not needed, a %s that was bootstrapped with bootstrapSecret is taken over by creating the resource", req.ID, b.product.name)
	}
	servers, err := b.product.servers(req.State.Args)
	if err != nil {
		return kept, err
	}
	gone, err := wait.Gone(ctx, servers, errUnknownToken, func(ctx context.Context, server server) error {
		_, err := server.self(ctx)
		return err
	})
	switch {
	case err != nil:
		p.GetLogger(ctx).Warningf("whether %s still knows the management token is not known, it is kept: %s", b.product.name, err)
		return kept, nil
	case gone:
		return infer.ReadResponse[Args, State]{}, nil
	}
	if err := allHealthy(servers, req.State.ExpectedVoters)(ctx); err != nil {
		p.GetLogger(ctx).Warningf("%s is not as it should be: %s", b.product.name, err)
	}
	return kept, nil
}
