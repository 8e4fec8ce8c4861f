// pulumi-resource-hcloud is Pulumi's hcloud plugin over the pinned Terraform provider.
package main

import (
	"context"

	"github.com/hetznercloud/terraform-provider-hcloud/hcloud"
	pfbridge "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	shimv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"

	"hashistack/tools/bridge"
)

// version is set by the linker.
var version string

func main() {
	// The provider is in the middle of its move from Terraform's old plugin SDK to the framework: both halves serve.
	p := pfbridge.MuxShimWithPF(context.Background(), shimv2.NewProvider(hcloud.Provider()), hcloud.NewPluginProvider())
	bridge.Main("hcloud", version, p, func(info *tfbridge.ProviderInfo) { info.SetAutonaming(255, "-") })
}
