// Command hashistack is a Pulumi program: `pulumi up` turns an empty Hetzner Cloud project into a Nomad platform.
package main

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"hashistack/infra"
)

func main() { pulumi.Run(infra.Deploy) }
