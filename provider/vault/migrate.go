package vault

import (
	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"hashistack/provider/internal/migrate"
)

// reshapeInit gathers `nodes` and `caPem` in `cluster`: up to commit 92b9c89 they stood by themselves. It can go when
// every stack has been refreshed (`pulumi refresh`) since. VaultUnseal has the same shape as then.
//
// It also puts back the empty list of keys that an update took out of the state, up to commit 877c5de: a state has a root token, and
// inputs have none.
func reshapeInit(old property.Map) property.Map {
	if _, isState := old.GetOk("rootToken"); isState {
		for _, keys := range []string{"unsealKeys", "recoveryKeys"} {
			if old.Get(keys).IsNull() {
				old = old.Set(keys, property.New([]property.Value{}).WithSecret(true))
			}
		}
	}
	if _, is := old.GetOk("nodes"); !is {
		return old
	}
	return migrate.Gather(old, "cluster", map[string]string{"nodes": "nodes", "caPem": "caPem"})
}
