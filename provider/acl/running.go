package acl

import (
	"context"
	"time"

	"github.com/pulumi/pulumi-go-provider/infer"

	"hashistack/provider/internal/cluster"
)

// askTimeout bounds a question to machines that may not exist: what is sent to an address without a machine is lost.
const askTimeout = 3 * time.Second

// Running tells whether Nomad runs: isNomadRunning in Pulumi.
type Running struct{}

// RunningFunction is the function isNomadRunning.
func RunningFunction() infer.InferredFunction { return infer.Function(Running{}) }

// RunningArgs are the inputs of isNomadRunning.
type RunningArgs struct {
	Cluster cluster.Cluster `pulumi:"cluster"`
}

// RunningResult is what isNomadRunning returns.
type RunningResult struct {
	Running bool `pulumi:"running"`
}

// Annotate describes the function in the schema.
func (r *Running) Annotate(a infer.Annotator) {
	a.SetToken("index", "isNomadRunning")
	a.Describe(&r, "Whether a server of a Nomad cluster knows a leader. Servers that do not answer at once say nothing.")
}

// Annotate describes the inputs in the schema.
func (args *RunningArgs) Annotate(a infer.Annotator) {
	a.Describe(&args.Cluster, "The cluster, without a token.")
}

// Annotate describes the result in the schema.
func (result *RunningResult) Annotate(a infer.Annotator) {
	a.Describe(&result.Running, "True as soon as one server says so.")
}

// Invoke asks all servers at once.
func (Running) Invoke(ctx context.Context, req infer.FunctionRequest[RunningArgs]) (resp infer.FunctionResponse[RunningResult], err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	answers := make(chan bool, len(req.Input.Cluster.Nodes))
	for _, node := range req.Input.Cluster.Nodes {
		server, err := connectNomad(node, req.Input.Cluster.CaPem, "")
		if err != nil {
			return resp, err
		}
		go func() {
			leader, err := server.leader(ctx)
			answers <- err == nil && leader != ""
		}()
	}
	for range req.Input.Cluster.Nodes {
		if <-answers {
			resp.Output.Running = true
			break
		}
	}
	return resp, nil
}
