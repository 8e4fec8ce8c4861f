package vault

import (
	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"hashistack/provider/internal/migrate"
)

// reshapeInit gathers `nodes` and `caPem` in `cluster`: up to commit 92b9c89 they stood by themselves. It can go when
// every stack has been refreshed (`pulumi refresh`) since. VaultUnseal has the same shape as then.
func reshapeInit(old property.Map) property.Map {
	if _, is := old.GetOk("nodes"); !is {
		return old
	}
	return migrate.Gather(old, "cluster", map[string]string{"nodes": "nodes", "caPem": "caPem"})
}
