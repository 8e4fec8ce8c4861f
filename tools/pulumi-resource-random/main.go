// pulumi-resource-random is Pulumi's random plugin over the pinned Terraform provider.
package main

import (
	pfbridge "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"
	"github.com/terraform-providers/terraform-provider-random/shim"

	"hashistack/tools/bridge"
)

// version is set by the linker.
var version string

func main() {
	bridge.Main("random", version, pfbridge.ShimProvider(shim.New()), nil)
}
