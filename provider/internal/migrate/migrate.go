// Package migrate lets a resource understand what an earlier version of it has left in a stack's state.
//
// It works on the properties as Pulumi sends them, before they are decoded. infer's own state migrations do not suffice:
// they leave inputs as they are, so a refresh fails to decode the old ones; and what they return has lost the marks of its
// secrets, so a refresh would write them to the state in plain text. Values that are moved here keep their marks.
package migrate

import (
	"context"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
)

// Reshape gives inputs or a state the shape of today. It returns what has that shape already, or is empty, as it is.
type Reshape func(property.Map) property.Map

// Resource is resource, which is never shown an old shape.
func Resource(resource infer.InferredResource, reshape Reshape) infer.InferredResource {
	return migrating{resource, reshape}
}

type migrating struct {
	infer.InferredResource
	reshape Reshape
}

// Check is given the old inputs as State.
func (m migrating) Check(ctx context.Context, req p.CheckRequest) (p.CheckResponse, error) {
	req.State = m.reshape(req.State)
	return m.InferredResource.Check(ctx, req)
}

// Diff is given the old inputs as new ones too: when a resource that this one depends on is deleted before its replacement,
// Pulumi asks whether this one must be replaced with it.
func (m migrating) Diff(ctx context.Context, req p.DiffRequest) (p.DiffResponse, error) {
	req.State, req.OldInputs, req.Inputs = m.reshape(req.State), m.reshape(req.OldInputs), m.reshape(req.Inputs)
	return m.InferredResource.Diff(ctx, req)
}

func (m migrating) Update(ctx context.Context, req p.UpdateRequest) (p.UpdateResponse, error) {
	req.State, req.OldInputs = m.reshape(req.State), m.reshape(req.OldInputs)
	return m.InferredResource.Update(ctx, req)
}

func (m migrating) Read(ctx context.Context, req p.ReadRequest) (p.ReadResponse, error) {
	req.Properties, req.Inputs = m.reshape(req.Properties), m.reshape(req.Inputs)
	return m.InferredResource.Read(ctx, req)
}

func (m migrating) Delete(ctx context.Context, req p.DeleteRequest) error {
	req.Properties, req.OldInputs = m.reshape(req.Properties), m.reshape(req.OldInputs)
	return m.InferredResource.Delete(ctx, req)
}

// Gather moves properties into a new object. names are their names there, by the names that they had; what is absent stays
// absent.
func Gather(old property.Map, object string, names map[string]string) property.Map {
	gathered := map[string]property.Value{}
	for was, is := range names {
		if value, present := old.GetOk(was); present {
			gathered[is] = value
		}
		old = old.Delete(was)
	}
	return old.Set(object, property.New(gathered))
}
