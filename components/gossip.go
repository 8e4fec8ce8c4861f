package components

import (
	"encoding/json"
	"fmt"

	"github.com/pulumi/pulumi-vault/sdk/v6/go/vault/kv"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"hashistack/internal/names"
	"hashistack/sdks/hashistack"
)

// gossipArgs describes the gossip key of a product.
type gossipArgs struct {
	product    string // as our provider calls it
	path       string // of the key in Vault, and the name of its resources
	generation int
	// cluster has a token that may change the keys of the running cluster. It is known before there is one.
	cluster hashistack.ClusterArgs

	vault *Vault
	site  Site
}

// gossip is a product's gossip key. A new cluster starts with it. In a running one it is changed in the order of the
// resources here: all members get to know the new key; from then on Vault hands it to new machines; all members use it
// and forget the old one. An update that is interrupted goes on at the next.
type gossip struct {
	args   *gossipArgs
	parent pulumi.Resource
	key    pulumi.StringOutput
	shared *kv.SecretV2 // where machines read the key
}

// newGossip declares a gossip key, and puts it where machines read it.
func newGossip(ctx *pulumi.Context, args *gossipArgs, parent pulumi.Resource) (*gossip, error) {
	g := &gossip{args: args, parent: parent}
	var err error
	if g.key, err = newGossipKey(ctx, args.path, args.generation, parent); err != nil {
		return nil, err
	}
	installed, err := hashistack.NewGossipInstall(ctx, args.path, &hashistack.GossipInstallArgs{
		Product: pulumi.String(args.product),
		Cluster: args.cluster,
		Key:     g.key,
		Timeout: args.site.timeout(),
	}, args.site.inside(parent)...)
	if err != nil {
		return nil, fmt.Errorf("install gossip key of %s: %w", args.product, err)
	}
	content := g.key.ApplyT(func(key string) (string, error) {
		encoded, err := json.Marshal(map[string]string{names.GossipField: key})
		return string(encoded), err
	}).(pulumi.StringOutput)
	g.shared, err = kv.NewSecretV2(ctx, args.path, &kv.SecretV2Args{
		Mount:    pulumi.String(names.Platform),
		Name:     pulumi.String(args.path),
		DataJson: content,
	}, args.vault.inside(parent, after(args.vault.platform, installed))...)
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", args.path, err)
	}
	return g, nil
}

// use declares that the key is the cluster's only one, once there is a cluster.
func (g *gossip) use(ctx *pulumi.Context, cluster pulumi.Resource) error {
	_, err := hashistack.NewGossipUse(ctx, g.args.path, &hashistack.GossipUseArgs{
		Product: pulumi.String(g.args.product),
		Cluster: g.args.cluster,
		Key:     g.key,
		Timeout: g.args.site.timeout(),
	}, g.args.site.inside(g.parent, after(g.shared, cluster))...)
	if err != nil {
		return fmt.Errorf("use gossip key of %s: %w", g.args.product, err)
	}
	return nil
}
