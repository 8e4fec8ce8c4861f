// pulumi-resource-tls is Pulumi's tls plugin over the pinned Terraform provider.
package main

import (
	"github.com/hashicorp/terraform-provider-tls/shim"
	pfbridge "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"

	"hashistack/tools/bridge"
)

// version is set by the linker.
var version string

func main() {
	bridge.Main("tls", version, pfbridge.ShimProvider(shim.New()), nil)
}
