package acl

import (
	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"hashistack/provider/internal/migrate"
)

// reshape gathers `nodes` and `caPem` in `cluster`: up to commit 92b9c89 they stood by themselves. The output `token`
// stays where it is. `machineIds`, up to commit 829458a, is gone: nothing waits for new machines here any more. reshape can go
// when every stack has been refreshed (`pulumi refresh`) since.
func reshape(old property.Map) property.Map {
	old = old.Delete("machineIds")
	if _, is := old.GetOk("nodes"); !is {
		return old
	}
	return migrate.Gather(old, "cluster", map[string]string{"nodes": "nodes", "caPem": "caPem"})
}
