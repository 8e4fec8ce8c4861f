// Command provider is the Pulumi resource provider `hashistack`. Pulumi compiles and runs it from this folder by
// itself (see `plugins` in Pulumi.yaml), so it needs neither a release nor an installation.
package main

import (
	"context"
	"fmt"
	"os"

	p "github.com/pulumi/pulumi-go-provider"

	"hashistack/provider/hashistack"
)

//go:generate go run ./gensdk ../sdks/hashistack

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	if err := hashistack.ForgetShell(); err != nil {
		return err
	}
	provider, err := hashistack.Provider()
	if err != nil {
		return err
	}
	return p.RunProvider(context.Background(), hashistack.Name, hashistack.Version, provider)
}
