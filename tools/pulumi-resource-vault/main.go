// pulumi-resource-vault is Pulumi's vault plugin over the pinned Terraform provider.
package main

import (
	"context"

	"github.com/hashicorp/terraform-provider-vault/schema"
	"github.com/hashicorp/terraform-provider-vault/shim"
	"github.com/hashicorp/terraform-provider-vault/vault"
	pfbridge "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	shimv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"

	"hashistack/tools/bridge"
)

// version is set by the linker.
var version string

func main() {
	// Newer resources live in the framework half, which takes its client from the older half.
	old := schema.NewProvider(vault.Provider())
	p := pfbridge.MuxShimWithPF(context.Background(), shimv2.NewProvider(old.SchemaProvider()),
		shim.NewFrameworkProvider(old))
	bridge.Main("vault", version, p, func(info *tfbridge.ProviderInfo) { info.SetAutonaming(255, "-") })
}
