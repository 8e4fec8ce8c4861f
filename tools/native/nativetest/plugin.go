// Package nativetest drives a plugin through the lives of its resources as the engine would, in memory, against a real
// agent of the product.
package nativetest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/blang/semver"
	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/integration"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Plugin is a provider that serves in memory.
type Plugin struct {
	integration.Server
	t testing.TB
}

// Serve starts a provider, unconfigured.
func Serve(t testing.TB, name string, provider p.Provider) *Plugin {
	t.Helper()
	server, err := integration.NewServer(context.Background(), name, semver.MustParse("1.0.0"),
		integration.WithProvider(provider))
	require.NoError(t, err)
	return &Plugin{server, t}
}

// Configured configures the provider as the engine does.
func (s *Plugin) Configured(config map[string]property.Value) *Plugin {
	s.t.Helper()
	checked, err := s.CheckConfig(p.CheckRequest{Inputs: property.NewMap(config)})
	require.NoError(s.t, err)
	require.Empty(s.t, checked.Failures)
	require.NoError(s.t, s.Configure(p.ConfigureRequest{Args: checked.Inputs}))
	return s
}

// Object is a resource in the state of a stack.
type Object struct {
	plugin *Plugin
	URN    resource.URN
	ID     string
	Inputs property.Map // as checked
	State  property.Map
}

// Values is short for the properties of a resource.
type Values = map[string]property.Value

// URN returns the URN of a resource with a type token.
func URN(token, name string) resource.URN {
	return resource.NewURN("test", "test", "", tokens.Type(token), name)
}

// Create checks, previews and creates a resource, then requires that a refresh finds nothing changed.
func (s *Plugin) Create(token, name string, inputs Values) *Object {
	s.t.Helper()
	o, err := s.TryCreate(token, name, inputs)
	require.NoError(s.t, err)
	o.RequireSteady()
	return o
}

// TryCreate is Create as far as it goes.
func (s *Plugin) TryCreate(token, name string, inputs Values) (*Object, error) {
	s.t.Helper()
	o := &Object{plugin: s, URN: URN(token, name)}
	o.Inputs = o.check(inputs)
	preview, err := s.Server.Create(p.CreateRequest{Urn: o.URN, Properties: o.Inputs, DryRun: true})
	require.NoError(s.t, err)
	created, err := s.RawCreate(p.CreateRequest{Urn: o.URN, Properties: o.Inputs})
	if err != nil {
		return nil, err
	}
	require.NotEmpty(s.t, created.ID)
	// What the preview claimed to know must come true.
	for key, value := range preview.Properties.All {
		if !value.HasComputed() {
			assert.Equal(s.t, value, created.Properties.Get(key), "output %s of %s differs from its preview", key, o.URN)
		}
	}
	for key := range created.Properties.All {
		_, ok := preview.Properties.GetOk(key)
		assert.True(s.t, ok, "output %s of %s is missing from its preview", key, o.URN)
	}
	o.ID, o.State = created.ID, created.Properties
	return o, nil
}

// RawCreate passes a request on. The reasons why an object exists but is not right become part of the error.
func (s *Plugin) RawCreate(r p.CreateRequest) (p.CreateResponse, error) {
	response, err := s.Server.Create(r)
	if err != nil && response.PartialState != nil {
		err = fmt.Errorf("%w: %s", err, strings.Join(response.PartialState.Reasons, "; "))
	}
	return response, err
}

// check runs the inputs through Check and requires that they pass.
func (o *Object) check(inputs Values) property.Map {
	o.plugin.t.Helper()
	checked, err := o.plugin.Check(p.CheckRequest{
		Urn: o.URN, State: o.Inputs, Inputs: property.NewMap(inputs), RandomSeed: []byte("seed of a test, 32 bytes long...."),
	})
	require.NoError(o.plugin.t, err)
	require.Empty(o.plugin.t, checked.Failures)
	return checked.Inputs
}

// diff asks what new inputs change.
func (o *Object) diff(inputs property.Map) p.DiffResponse {
	o.plugin.t.Helper()
	response, err := o.plugin.Diff(p.DiffRequest{
		ID: o.ID, Urn: o.URN, State: o.State, OldInputs: o.Inputs, Inputs: inputs,
	})
	require.NoError(o.plugin.t, err)
	return response
}

// RequireSteady requires that a refresh finds the object as the state has it.
func (o *Object) RequireSteady() {
	o.plugin.t.Helper()
	live, err := o.Read()
	require.NoError(o.plugin.t, err)
	require.Equal(o.plugin.t, o.ID, live.ID, "a refresh does not find %s", o.URN)
	require.Equal(o.plugin.t, plain(o.Inputs), plain(live.Inputs), "a refresh changes the inputs of %s", o.URN)
	require.Equal(o.plugin.t, o.State, live.Properties, "a refresh changes the state of %s", o.URN)
	require.Empty(o.plugin.t, o.diff(o.Inputs).DetailedDiff, "%s differs from itself", o.URN)
}

// plain drops what only marks a value, such as its being secret.
func plain(m property.Map) property.Value {
	return property.New(m).WithSecret(false)
}

// Read reads the object as a refresh does.
func (o *Object) Read() (p.ReadResponse, error) {
	return o.plugin.Server.Read(p.ReadRequest{ID: o.ID, Urn: o.URN, Properties: o.State, Inputs: o.Inputs})
}

// Update changes the object in place, and requires that nothing but an update in place is asked for.
func (o *Object) Update(inputs Values) {
	o.plugin.t.Helper()
	checked := o.check(inputs)
	diff := o.diff(checked)
	require.True(o.plugin.t, diff.HasChanges, "the change of %s shows no difference", o.URN)
	for key, d := range diff.DetailedDiff {
		require.NotContains(o.plugin.t,
			[]p.DiffKind{p.AddReplace, p.DeleteReplace, p.UpdateReplace}, d.Kind, "%s of %s replaces", key, o.URN)
	}
	request := p.UpdateRequest{
		ID: o.ID, Urn: o.URN, State: o.State, OldInputs: o.Inputs, Inputs: checked, DryRun: true,
	}
	_, err := o.plugin.Server.Update(request)
	require.NoError(o.plugin.t, err)
	request.DryRun = false
	updated, err := o.plugin.Server.Update(request)
	require.NoError(o.plugin.t, err)
	o.Inputs, o.State = checked, updated.Properties
	o.RequireSteady()
}

// RequireReplace requires that new inputs ask for a new object because of one of them.
func (o *Object) RequireReplace(because string, inputs Values) {
	o.plugin.t.Helper()
	diff := o.diff(o.check(inputs))
	require.Contains(o.plugin.t, diff.DetailedDiff, because)
	require.Contains(o.plugin.t,
		[]p.DiffKind{p.AddReplace, p.DeleteReplace, p.UpdateReplace}, diff.DetailedDiff[because].Kind)
}

// RequireImport requires that an import by an id finds the object, and that a program which takes over the imported inputs
// passes the check and changes nothing.
func (o *Object) RequireImport(id string) {
	o.plugin.t.Helper()
	live, err := o.plugin.Server.Read(p.ReadRequest{ID: id, Urn: o.URN})
	require.NoError(o.plugin.t, err)
	require.Equal(o.plugin.t, id, live.ID, "an import does not find %s", o.URN)
	imported := &Object{plugin: o.plugin, URN: o.URN, ID: live.ID, Inputs: live.Inputs, State: live.Properties}
	imported.requireSame(live.Inputs.AsMap(), "the imported inputs of %s")
}

// requireSame requires that inputs pass the check and change nothing.
func (o *Object) requireSame(inputs Values, what string) {
	o.plugin.t.Helper()
	diff := o.diff(o.check(inputs))
	require.Empty(o.plugin.t, diff.DetailedDiff, what+" change something", o.URN)
	require.False(o.plugin.t, diff.HasChanges, what+" change something", o.URN)
}

// Delete deletes the object twice, as happens after an interruption, and requires that it is gone.
func (o *Object) Delete() {
	o.plugin.t.Helper()
	request := p.DeleteRequest{ID: o.ID, Urn: o.URN, Properties: o.State}
	require.NoError(o.plugin.t, o.plugin.Server.Delete(request))
	live, err := o.Read()
	require.NoError(o.plugin.t, err)
	require.Empty(o.plugin.t, live.ID, "%s is still there", o.URN)
	require.NoError(o.plugin.t, o.plugin.Server.Delete(request), "a second delete fails")
}
