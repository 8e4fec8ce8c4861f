package gossip

import (
	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"hashistack/provider/internal/migrate"
)

// reshape gathers `nodes`, `caPem` and `token` in `cluster`: up to commit 92b9c89 they stood by themselves. It can go when
// every stack has been refreshed (`pulumi refresh`) since.
func reshape(old property.Map) property.Map {
	if _, is := old.GetOk("nodes"); !is {
		return old
	}
	return migrate.Gather(old, "cluster", map[string]string{"nodes": "nodes", "caPem": "caPem", "token": "token"})
}
