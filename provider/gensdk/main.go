// Command gensdk writes the provider's Go SDK: a module of its own, for the program to require with a `replace`.
//
//	gensdk DIRECTORY
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/blang/semver"
	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/integration"
	gocodegen "github.com/pulumi/pulumi/pkg/v3/codegen/go"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"

	"hashistack/provider/hashistack"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gensdk DIRECTORY")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write(directory string) error {
	files, err := generate()
	if err != nil {
		return fmt.Errorf("generate the SDK: %w", err)
	}
	for name, content := range files {
		path := filepath.Join(directory, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // source code for everyone who may read the checkout
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil { //nolint:gosec // likewise
			return err
		}
	}
	return nil
}

// generate returns the SDK's source files by their path in its module; go.mod and go.sum are not among them.
func generate() (map[string][]byte, error) {
	provider, err := hashistack.Provider()
	if err != nil {
		return nil, err
	}
	server, err := integration.NewServer(context.Background(), hashistack.Name, semver.MustParse(hashistack.Version), integration.WithProvider(provider))
	if err != nil {
		return nil, err
	}
	answer, err := server.GetSchema(p.GetSchemaRequest{})
	if err != nil {
		return nil, err
	}
	var spec schema.PackageSpec
	if err := json.Unmarshal([]byte(answer.Schema), &spec); err != nil {
		return nil, fmt.Errorf("decode the provider's schema: %w", err)
	}
	// Without a version the SDK asks for none, and Pulumi takes the provider that Pulumi.yaml names by its path.
	spec.Version = ""
	pkg, problems, err := schema.BindSpec(spec, schema.NewPluginLoader(nil), schema.ValidationOptions{})
	if err != nil {
		return nil, err
	}
	if problems.HasErrors() {
		return nil, errors.New(problems.Error())
	}
	files, err := gocodegen.GeneratePackage("gensdk", pkg, nil)
	if err != nil {
		return nil, err
	}
	sdk := map[string][]byte{}
	for name, content := range files {
		relative, err := filepath.Rel("hashistack", filepath.FromSlash(name))
		if err != nil {
			return nil, err
		}
		if !filepath.IsLocal(relative) { // .gitattributes of a repository that has nothing but the SDK
			continue
		}
		sdk[filepath.ToSlash(relative)] = bytes.TrimLeft(content, "\n")
	}
	return sdk, nil
}
