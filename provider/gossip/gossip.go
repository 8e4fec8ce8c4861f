// Package gossip changes the gossip key of a running Consul or Nomad cluster, as often as the program has a new one.
//
// A change takes three steps, so that members and newcomers understand each other all the time: Install makes every
// member know the new key, besides the one they use; the program then hands the new key to new machines; Use makes it the
// only one. A step asks all members what they have and does what is missing, so it can be repeated at any time.
package gossip

import (
	"context"
	"encoding/base64"

	"github.com/pulumi/pulumi-go-provider/infer"

	"hashistack/provider/internal/check"
	"hashistack/provider/internal/cluster"
	"hashistack/provider/internal/wait"
)

const keyBytes = 32 // AES-256

// Args are the inputs of GossipInstall and GossipUse.
type Args struct {
	Product string          `pulumi:"product" provider:"replaceOnChanges"`
	Cluster cluster.Cluster `pulumi:"cluster"`
	Key     string          `pulumi:"key" provider:"secret"`
	Timeout string          `pulumi:"timeout,optional"`
}

// Annotate describes the inputs in the schema.
func (args *Args) Annotate(a infer.Annotator) {
	a.Describe(&args.Product, "`consul` or `nomad`.")
	a.Describe(&args.Cluster, "The cluster, with a token that may write the keyring: Consul's `keyring = \"write\"`, Nomad's `agent` policy `write`.")
	a.Describe(&args.Key, "The gossip key: 32 random bytes in base64.")
	wait.DescribeTimeout(a, &args.Timeout)
}

func checkInputs(ctx context.Context, req infer.CheckRequest) (infer.CheckResponse[Args], error) {
	return check.Inputs(ctx, req, func(args *Args, c *check.Problems) {
		if _, known := rings[args.Product]; c.Known("product") && !known {
			c.Add("product", "must be consul or nomad, got %q", args.Product)
		}
		c.Cluster("cluster", &args.Cluster, check.WithToken)
		c.Timeout(args.Timeout)
		// The value is a secret even when it is wrong.
		if key, err := base64.StdEncoding.DecodeString(args.Key); c.Known("key") && (err != nil || len(key) != keyBytes) {
			c.Add("key", "must be %d bytes in base64, got %d characters of another form", keyBytes, len(args.Key))
		}
	})
}
