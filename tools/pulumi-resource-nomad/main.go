// pulumi-resource-nomad is Pulumi's nomad plugin, as far as it goes, over Nomad's own API client: the Terraform
// provider that the official plugin is made of is not available as a Go module.
package main

import "hashistack/tools/native"

// version is set by the linker.
var version string

func main() {
	provider, err := newProvider()
	native.Main("nomad", version, provider, err)
}
