// generate writes the Go SDK of the Nomad provider from ../schema.json with Pulumi's own code generator.
//
// The Go module proxy serves no version of github.com/pulumi/pulumi-nomad/sdk/v2, so the SDK is kept here under its
// published module path and version; the program's go.mod replaces that path with this folder. Dropping the replace
// gives the published SDK.
//
//go:generate go run . ../schema.json ../go ../../../go.mod
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/blang/semver"
	gogen "github.com/pulumi/pulumi/pkg/v3/codegen/go"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
	"golang.org/x/mod/modfile"
)

// module is the path under which Pulumi publishes the SDK.
const module = "github.com/pulumi/pulumi-nomad/sdk/v2"

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: generate SCHEMA OUTPUT-FOLDER PROGRAM-GO.MOD")
		os.Exit(2)
	}
	if err := generate(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "generate the Nomad SDK:", err)
		os.Exit(1)
	}
}

// generate replaces folder out by the SDK for the schema, at the version that the program's go.mod requires.
func generate(schemaFile, out, goMod string) error {
	source, err := os.ReadFile(schemaFile) //nolint:gosec // the caller names the file
	if err != nil {
		return err
	}
	var spec schema.PackageSpec
	if err := json.Unmarshal(source, &spec); err != nil {
		return fmt.Errorf("decode %s: %w", schemaFile, err)
	}
	// The SDK asks the engine for the plugin of this version: it must be the one that the program names.
	if spec.Version, err = requiredVersion(goMod); err != nil {
		return err
	}
	pkg, diags, err := schema.BindSpec(spec, noPlugins{}, schema.ValidationOptions{})
	if err != nil {
		return fmt.Errorf("bind %s: %w", schemaFile, err)
	}
	if diags.HasErrors() {
		return fmt.Errorf("bind %s: %w", schemaFile, diags)
	}
	files, err := gogen.GeneratePackage("pulumi-language-go", pkg, nil)
	if err != nil {
		return err
	}
	// A type that left the schema must not live on.
	if err := os.RemoveAll(out); err != nil { //nolint:gosec // the caller names the folder
		return err
	}
	for name, content := range files {
		path := filepath.Join(out, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil { //nolint:gosec // below the named folder
			return err
		}
		if err := os.WriteFile(path, content, 0o600); err != nil { //nolint:gosec // below the named folder
			return err
		}
	}
	return nil
}

// requiredVersion returns the version of the SDK in a go.mod, without the leading v.
func requiredVersion(goMod string) (string, error) {
	source, err := os.ReadFile(goMod) //nolint:gosec // the caller names the file
	if err != nil {
		return "", err
	}
	file, err := modfile.Parse(goMod, source, nil)
	if err != nil {
		return "", err
	}
	for _, r := range file.Require {
		if r.Mod.Path == module {
			return strings.TrimPrefix(r.Mod.Version, "v"), nil
		}
	}
	return "", fmt.Errorf("%s does not require %s: add it at the version of the schema", goMod, module)
}

// noPlugins is a loader that refuses other packages: the schema must be complete in itself.
type noPlugins struct{}

var errNoPlugins = errors.New("the schema refers to another package; only self-contained schemas are supported")

func (noPlugins) LoadPackage(string, *semver.Version) (*schema.Package, error) {
	return nil, errNoPlugins
}

func (noPlugins) LoadPackageV2(context.Context, *schema.PackageDescriptor) (*schema.Package, error) {
	return nil, errNoPlugins
}
