// Package pulumitest runs Pulumi code against a cloud that agrees to everything, and records what was asked of it.
package pulumitest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/require"
)

// Project and Stack are what code under test runs as.
const (
	Project = "hashistack"
	Stack   = "test"
)

// Resource is a resource that was declared.
type Resource struct {
	Type, Name  string
	URN, Parent string
	ID          string // empty in a preview
	Inputs      resource.PropertyMap
	Registered  resource.PropertyMap // a component's outputs
	Options     pulumi.MockResourceArgs
}

// Input is an input without its secrecy, nil if it was not given.
func (r Resource) Input(path string) any {
	value := resource.NewObjectProperty(r.Inputs)
	p, err := resource.ParsePropertyPath(path)
	if err != nil {
		panic(err)
	}
	found, ok := p.Get(value)
	if !ok {
		return nil
	}
	return reveal(found).Mappable()
}

// Secret tells whether an input holds a secret.
func (r Resource) Secret(name string) bool {
	return r.Inputs[resource.PropertyKey(name)].ContainsSecrets()
}

// Plain are the texts among the inputs and a component's outputs that are no secrets, by their path: what a preview
// prints and a state shows.
func (r Resource) Plain() map[string]string {
	texts := plain(r.Inputs)
	maps.Copy(texts, plain(r.Registered))
	return texts
}

func plain(values resource.PropertyMap) map[string]string {
	texts := map[string]string{}
	walk(resource.NewObjectProperty(values), nil, func(path resource.PropertyPath, leaf resource.PropertyValue) {
		if leaf.IsString() {
			texts[path.String()] = leaf.StringValue()
		}
	})
	return texts
}

// Unknown are the paths of the inputs that are not known yet, in order.
func (r Resource) Unknown() []string {
	var paths []string
	walk(reveal(resource.NewObjectProperty(r.Inputs)), nil, func(path resource.PropertyPath, leaf resource.PropertyValue) {
		if leaf.IsComputed() {
			paths = append(paths, path.String())
		}
	})
	slices.Sort(paths)
	return paths
}

// walk visits the values that hold no others. A secret is one of them, whatever is in it.
func walk(value resource.PropertyValue, path resource.PropertyPath, visit func(resource.PropertyPath, resource.PropertyValue)) {
	at := func(key any) resource.PropertyPath { return append(slices.Clip(path), key) }
	switch {
	case value.IsObject():
		for key, element := range value.ObjectValue() {
			walk(element, at(string(key)), visit)
		}
	case value.IsArray():
		for i, element := range value.ArrayValue() {
			walk(element, at(i), visit)
		}
	default:
		visit(path, value)
	}
}

// reveal takes the secrecy off a value and all that is in it.
func reveal(value resource.PropertyValue) resource.PropertyValue {
	switch {
	case value.IsSecret():
		return reveal(value.SecretValue().Element)
	case value.IsObject():
		plain := resource.PropertyMap{}
		for key, element := range value.ObjectValue() {
			plain[key] = reveal(element)
		}
		return resource.NewObjectProperty(plain)
	case value.IsArray():
		plain := []resource.PropertyValue{}
		for _, element := range value.ArrayValue() {
			plain = append(plain, reveal(element))
		}
		return resource.NewArrayProperty(plain)
	default:
		return value
	}
}

// Recorder is the cloud. The zero value is ready.
type Recorder struct {
	// Outputs adds to a resource's outputs what a provider would compute: by type token, or by type token and name,
	// "type::name", where resources of one type differ.
	Outputs map[string]resource.PropertyMap
	// Refusals are what look-ups of a type token answer before they answer what is asked, one after the other.
	Refusals map[string][]error
	// Failures are the resources that cannot be made, by "type::name".
	Failures map[string]error
	// Exports are the stack's outputs, once the code has run.
	Exports resource.PropertyMap

	lock      sync.Mutex
	warnings  []string
	preview   bool
	resources []Resource
}

// NewResource records a resource. Its outputs are its inputs, and what Outputs says; in a preview its inputs alone.
func (r *Recorder) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	r.lock.Lock()
	defer r.lock.Unlock()
	if err := r.Failures[args.TypeToken+"::"+args.Name]; err != nil {
		return "", nil, err
	}
	declared := Resource{
		Type: args.TypeToken, Name: args.Name, Inputs: args.Inputs, Options: args,
		Parent: args.RegisterRPC.GetParent(),
		URN:    urn(args.RegisterRPC.GetParent(), args.TypeToken, args.Name),
	}
	switch {
	case r.preview: // nobody knows yet
	case strings.HasPrefix(args.TypeToken, "hcloud:"):
		declared.ID = fmt.Sprint(1000 + len(r.resources)) // Hetzner's are numbers
	default:
		declared.ID = args.Name + "-id"
	}
	outputs := args.Inputs.Copy()
	for _, key := range []string{args.TypeToken, args.TypeToken + "::" + args.Name} {
		for name, value := range r.Outputs[key] {
			if _, given := args.Inputs[name]; !given && !r.preview {
				outputs[name] = value
			}
		}
	}
	// As Pulumi's engine does it: outputs are as secret as their SDK says, not as the provider says.
	for _, name := range args.RegisterRPC.GetAdditionalSecretOutputs() {
		if value, given := outputs[resource.PropertyKey(name)]; given && !value.ContainsSecrets() {
			outputs[resource.PropertyKey(name)] = resource.MakeSecret(value)
		}
	}
	// As it does this too: a program written in Go gets no outputs that are not known.
	maps.DeleteFunc(outputs, func(_ resource.PropertyKey, value resource.PropertyValue) bool { return value.ContainsUnknowns() })
	r.resources = append(r.resources, declared)
	return declared.ID, outputs, nil
}

// urn names a resource as the engine does.
func urn(parent, typeToken, name string) string {
	var parentType tokens.Type // empty below the stack
	if parent != "" && resource.URN(parent).Type() != resource.RootStackType {
		parentType = resource.URN(parent).QualifiedType()
	}
	return string(resource.NewURN(Stack, Project, parentType, tokens.Type(typeToken), name))
}

// Call answers the look-ups of the program.
func (r *Recorder) Call(args pulumi.MockCallArgs) (resource.PropertyMap, error) {
	r.lock.Lock()
	defer r.lock.Unlock()
	if refusals := r.Refusals[args.Token]; len(refusals) > 0 {
		r.Refusals[args.Token] = refusals[1:]
		return nil, refusals[0]
	}
	outputs := args.Args.Copy()
	for key, value := range r.Outputs[args.Token] {
		outputs[key] = value
	}
	return outputs, nil
}

// complete records the outputs of a component, or of the stack.
func (r *Recorder) complete(urn string, outputs resource.PropertyMap) {
	r.lock.Lock()
	defer r.lock.Unlock()
	for i := range r.resources {
		if r.resources[i].URN == urn {
			r.resources[i].Registered = outputs
			return
		}
	}
	r.Exports = outputs
}

func (r *Recorder) warn(message string) {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.warnings = append(r.warnings, message)
}

// Warnings are what the code has warned of.
func (r *Recorder) Warnings() []string {
	r.lock.Lock()
	defer r.lock.Unlock()
	return slices.Clone(r.warnings)
}

// Run runs code against the recorder.
func (r *Recorder) Run(t *testing.T, code pulumi.RunFunc) {
	t.Helper()
	require.NoError(t, r.RunErr(t, code))
}

// Preview runs code as the first preview of a stack does: nothing exists, so no ID is known and nothing that a provider
// computes.
func (r *Recorder) Preview(t *testing.T, code pulumi.RunFunc) {
	t.Helper()
	r.preview = true
	require.NoError(t, r.RunErr(t, code))
}

// RunErr runs code against the recorder and returns its error, or that of a resource.
func (r *Recorder) RunErr(t *testing.T, code pulumi.RunFunc) error {
	t.Helper()
	engine := serve(t, r)
	return pulumi.RunErr(code, func(info *pulumi.RunInfo) {
		info.Project, info.Stack, info.DryRun = Project, Stack, r.preview
		info.MonitorAddr, info.EngineAddr = engine, engine
	})
}

// All are the resources of a type, in the order of their declaration.
func (r *Recorder) All(typeToken string) []Resource {
	return slices.DeleteFunc(r.Resources(), func(declared Resource) bool { return declared.Type != typeToken })
}

// Resources are all resources.
func (r *Recorder) Resources() []Resource {
	r.lock.Lock()
	defer r.lock.Unlock()
	return slices.Clone(r.resources)
}

// One is the resource of a type and name; there must be exactly one.
func (r *Recorder) One(t *testing.T, typeToken, name string) Resource {
	t.Helper()
	found := slices.DeleteFunc(r.All(typeToken), func(declared Resource) bool { return declared.Name != name })
	require.Len(t, found, 1, "resources %s %s", typeToken, name)
	return found[0]
}
