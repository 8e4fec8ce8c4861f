package native

import (
	"context"
	"fmt"
	"reflect"

	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
)

// Kind is a kind of resource: what to do with an object in the product, free of Pulumi's plumbing. A are the inputs,
// S is the state: a struct that embeds A first and adds the outputs that the product computes.
type Kind[A, S any] struct {
	// Module and Type make the official token: PACKAGE:Module:Type.
	Module tokens.ModuleName
	Type   tokens.TypeName
	// Label names the object in errors, for example `ACL policy deploy`.
	Label func(A) string
	// State returns the state for inputs, with the outputs of another state (the zero state before creation).
	State func(A, S) S
	// Create creates the object and returns its id. An error beside an id says that the object exists but is not
	// right: Pulumi then keeps it in the state, and the next update goes on from there.
	Create func(context.Context, A) (string, S, error)
	// Read returns the object as the inputs that describe it and its state, and false when it does not exist. The
	// given inputs and state are the last known; both are zero in an import.
	Read func(ctx context.Context, id string, inputs A, state S) (A, S, bool, error)
	// Update changes the object in place. It is left out where every input is replaceOnChanges.
	Update func(ctx context.Context, id string, inputs A, old S) (S, error)
	// Delete deletes the object. If that fails, Read tells whether the object is gone already, which is no error.
	Delete func(ctx context.Context, id string, state S) error
	// Wire tells which outputs an update changes. Left out, it changes none.
	Wire func(f infer.FieldSelector, inputs *A, state *S)
}

// Resource makes the kind known to infer.
func (k Kind[A, S]) Resource() infer.InferredResource {
	return infer.Resource(&served[A, S]{k})
}

// served serves the engine's calls for a kind.
type served[A, S any] struct{ kind Kind[A, S] }

// Annotate sets the token. infer also calls it on values that it makes itself; they have no kind.
func (r *served[A, S]) Annotate(a infer.Annotator) {
	if r.kind.Type != "" {
		a.SetToken(r.kind.Module, r.kind.Type)
	}
}

// Create creates the object. In a preview it returns what the object would be.
func (r *served[A, S]) Create(
	ctx context.Context, req infer.CreateRequest[A],
) (infer.CreateResponse[S], error) {
	var none S
	if req.DryRun {
		return infer.CreateResponse[S]{Output: r.kind.State(req.Inputs, none)}, nil
	}
	id, state, err := r.kind.Create(ctx, req.Inputs)
	if err != nil {
		err = fmt.Errorf("create %s: %w", r.kind.Label(req.Inputs), err)
		if id != "" {
			err = infer.ResourceInitFailedError{Reasons: []string{err.Error()}}
		}
	}
	return infer.CreateResponse[S]{ID: id, Output: state}, err
}

// Read reads the object.
func (r *served[A, S]) Read(
	ctx context.Context, req infer.ReadRequest[A, S],
) (infer.ReadResponse[A, S], error) {
	inputs, state, found, err := r.kind.Read(ctx, req.ID, req.Inputs, req.State)
	if err != nil {
		return infer.ReadResponse[A, S]{}, fmt.Errorf("read %s with id %s: %w", r.kind.Type, req.ID, err)
	}
	if !found {
		return infer.ReadResponse[A, S]{}, nil // without an id: the engine forgets it
	}
	return infer.ReadResponse[A, S]{ID: req.ID, Inputs: inputs, State: state}, nil
}

// Update changes the object. In a preview it returns what the object would be.
func (r *served[A, S]) Update(
	ctx context.Context, req infer.UpdateRequest[A, S],
) (infer.UpdateResponse[S], error) {
	if req.DryRun {
		return infer.UpdateResponse[S]{Output: r.kind.State(req.Inputs, req.State)}, nil
	}
	if r.kind.Update == nil {
		return infer.UpdateResponse[S]{}, fmt.Errorf("%s cannot be changed, only replaced", r.kind.Label(req.Inputs))
	}
	state, err := r.kind.Update(ctx, req.ID, req.Inputs, req.State)
	if err != nil {
		// The product may have made a part of the change. As with the official plugins, the state is what was asked for, and that
		// the resource is not right: then the next update goes on, also when the program has not changed.
		state = r.kind.State(req.Inputs, req.State)
		err = infer.ResourceInitFailedError{Reasons: []string{fmt.Sprintf("update %s: %s", r.kind.Label(req.Inputs), err)}}
	}
	return infer.UpdateResponse[S]{Output: state}, err
}

// Delete deletes the object.
func (r *served[A, S]) Delete(ctx context.Context, req infer.DeleteRequest[S]) (infer.DeleteResponse, error) {
	if err := r.kind.Delete(ctx, req.ID, req.State); err != nil {
		var none A
		if _, _, found, unknown := r.kind.Read(ctx, req.ID, none, req.State); !found && unknown == nil {
			return infer.DeleteResponse{}, nil
		}
		return infer.DeleteResponse{}, fmt.Errorf("delete %s with id %s: %w", r.kind.Type, req.ID, err)
	}
	return infer.DeleteResponse{}, nil
}

// WireDependencies tells which outputs are unknown while an update is previewed.
func (r *served[A, S]) WireDependencies(f infer.FieldSelector, inputs *A, state *S) {
	if r.kind.Wire != nil {
		r.kind.Wire(f, inputs, state)
		return
	}
	// Without any wiring, infer takes every output for one that changes with every input. One wire that says nothing
	// new prevents that: the first output is the first input.
	f.OutputField(first(state)).DependsOn(f.InputField(first(inputs)).Computed())
}

// first returns a pointer to the first field of a struct, which is looked for in embedded structs too.
func first(pointer any) any {
	v := reflect.ValueOf(pointer).Elem()
	for v.Type().Field(0).Anonymous {
		v = v.Field(0)
	}
	return v.Field(0).Addr().Interface()
}
