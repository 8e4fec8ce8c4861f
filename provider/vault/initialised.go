package vault

import (
	"context"
	"time"

	"github.com/pulumi/pulumi-go-provider/infer"

	"hashistack/provider/internal/api"
	"hashistack/provider/internal/cluster"
)

// askTimeout bounds a question to machines that may not exist: what is sent to an address without a machine is lost.
const askTimeout = 3 * time.Second

// Initialised tells whether there is a Vault cluster: isVaultInitialised in Pulumi.
type Initialised struct{}

// InitialisedFunction is the function isVaultInitialised.
func InitialisedFunction() infer.InferredFunction { return infer.Function(Initialised{}) }

// InitialisedArgs are the inputs of isVaultInitialised.
type InitialisedArgs struct {
	Cluster cluster.Cluster `pulumi:"cluster"`
}

// InitialisedResult is what isVaultInitialised returns.
type InitialisedResult struct {
	Initialised bool `pulumi:"initialised"`
}

// Annotate describes the function in the schema.
func (r *Initialised) Annotate(a infer.Annotator) {
	a.SetToken("index", "isVaultInitialised")
	a.Describe(&r, "Whether a node of a Vault cluster says that it is initialised. Nodes that do not answer at once say nothing.")
}

// Annotate describes the inputs in the schema.
func (args *InitialisedArgs) Annotate(a infer.Annotator) {
	a.Describe(&args.Cluster, "The cluster, without a token.")
}

// Annotate describes the result in the schema.
func (result *InitialisedResult) Annotate(a infer.Annotator) {
	a.Describe(&result.Initialised, "True as soon as one node says so.")
}

// Invoke asks all nodes at once.
func (Initialised) Invoke(
	ctx context.Context, req infer.FunctionRequest[InitialisedArgs],
) (resp infer.FunctionResponse[InitialisedResult], err error) {
	servers, err := api.ConnectVault(req.Input.Cluster)
	if err != nil {
		return resp, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	answers := make(chan bool, len(servers))
	for _, server := range servers {
		go func() {
			status, err := server.Ask(ctx)
			answers <- err == nil && status.Initialized
		}()
	}
	for range servers {
		if <-answers {
			resp.Output.Initialised = true
			break
		}
	}
	return resp, nil
}
