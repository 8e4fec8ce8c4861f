// Package native has what the plugins that are written here, over the products' own API clients, share. Each has the
// tokens, property names and behaviour of the official plugin of its name, as far as it goes. It refuses by name what
// it does not know.
package native

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"hashistack/tools/lifetime"
)

// Options say what the types of a provider cannot.
type Options struct {
	// Config is the provider's config struct: its `pulumi` tags are the config keys that exist.
	Config any
	// Autonamed are the resource tokens whose `name`, when left out, is made of the resource's name.
	Autonamed []string
	// Secrets are the outputs, and inputs of the same name, by resource token, that are secret whatever the program says.
	Secrets map[string][]string
}

// Main runs plugin name at a version (without a leading v) until the engine is done with it.
func Main(name, version string, provider p.Provider, err error) {
	lifetime.EndWithParent(func() { os.Exit(1) })
	if err == nil && version == "" {
		err = fmt.Errorf("no version: build with tools/build, which takes it from go.mod")
	}
	if err == nil {
		err = p.RunProvider(context.Background(), name, version, provider)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "pulumi-resource-%s: %v\n", name, err)
		os.Exit(1)
	}
}

// Wrap adds to a provider what the options say.
func Wrap(inner p.Provider, o Options) p.Provider {
	outer := inner
	outer.CheckConfig = func(ctx context.Context, r p.CheckRequest) (p.CheckResponse, error) {
		if failures := unknownConfig(o.Config, r.Inputs); len(failures) > 0 {
			return p.CheckResponse{Inputs: r.Inputs, Failures: failures}, nil
		}
		return inner.CheckConfig(ctx, r)
	}
	outer.Check = func(ctx context.Context, r p.CheckRequest) (p.CheckResponse, error) {
		if slices.Contains(o.Autonamed, string(r.Urn.Type())) {
			named, err := autoname(r)
			if err != nil {
				return p.CheckResponse{}, err
			}
			r.Inputs = named
		}
		return inner.Check(ctx, r)
	}
	outer.Diff = func(ctx context.Context, r p.DiffRequest) (p.DiffResponse, error) {
		// A change is a difference between what the program says now and what it said before. Unless the engine says
		// that it sends old inputs, infer compares with the state, where an output with the name of an unset input
		// would look like a change.
		r.State = r.OldInputs
		return inner.Diff(ctx, r)
	}
	outer.Create = func(ctx context.Context, r p.CreateRequest) (p.CreateResponse, error) {
		response, err := inner.Create(ctx, r)
		response.Properties = o.hide(string(r.Urn.Type()), response.Properties)
		return response, err
	}
	outer.Read = func(ctx context.Context, r p.ReadRequest) (p.ReadResponse, error) {
		response, err := inner.Read(ctx, r)
		response.Properties = o.hide(string(r.Urn.Type()), response.Properties)
		// An import has no inputs to take the mark from, and inputs without it would differ from the program's.
		response.Inputs = o.hide(string(r.Urn.Type()), response.Inputs)
		return response, err
	}
	outer.Update = func(ctx context.Context, r p.UpdateRequest) (p.UpdateResponse, error) {
		response, err := inner.Update(ctx, r)
		response.Properties = o.hide(string(r.Urn.Type()), response.Properties)
		return response, err
	}
	return outer
}

// hide marks the secret properties of a token.
func (o Options) hide(token string, properties property.Map) property.Map {
	for _, name := range o.Secrets[token] {
		if v, ok := properties.GetOk(name); ok {
			properties = properties.Set(name, v.WithSecret(true))
		}
	}
	return properties
}

// unknownConfig reports the config keys that the provider would ignore.
func unknownConfig(config any, inputs property.Map) []p.CheckFailure {
	var known []string
	for _, field := range reflect.VisibleFields(reflect.TypeOf(config)) {
		if tag, ok := field.Tag.Lookup("pulumi"); ok {
			name, _, _ := strings.Cut(tag, ",")
			known = append(known, name)
		}
	}
	var failures []p.CheckFailure
	for key := range inputs.All {
		// These are the engine's own.
		if key == "version" || key == "pluginDownloadURL" || strings.HasPrefix(key, "__") || slices.Contains(known, key) {
			continue
		}
		failures = append(failures, p.CheckFailure{
			Property: key,
			Reason:   fmt.Sprintf("this plugin does not support %q: remove it (supported: %s)", key, strings.Join(known, ", ")),
		})
	}
	return failures
}

// autoname fills in the name: the one it has, or the resource's name with seven random digits, as the official
// plugins do, so that a replacement can exist beside what it replaces.
func autoname(r p.CheckRequest) (property.Map, error) {
	if v, ok := r.Inputs.GetOk("name"); ok && !v.IsNull() {
		return r.Inputs, nil
	}
	if v, ok := r.State.GetOk("name"); ok && v.IsString() {
		return r.Inputs.Set("name", v), nil
	}
	name, err := resource.NewUniqueName(r.RandomSeed, r.Urn.Name()+"-", 7, 255, nil)
	if err != nil {
		return property.Map{}, fmt.Errorf("name %s: %w", r.Urn.Name(), err)
	}
	return r.Inputs.Set("name", property.New(name)), nil
}
