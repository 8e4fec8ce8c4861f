// Package compare says which inputs of a resource have changed. It looks at every field with a `pulumi` tag, so a new
// input is compared as soon as it exists.
package compare

import (
	"reflect"
	"slices"
	"strings"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
)

// Inputs compares the inputs that are in the state with new ones. A change is an update in place; a change of a field
// tagged `provider:"replaceOnChanges"` is a replacement. The differences are named by the path of the field: objects are
// compared field by field, lists as a whole.
func Inputs[Args any](was, is Args) infer.DiffResponse {
	changed := map[string]p.PropertyDiff{}
	fields(changed, "", p.Update, reflect.ValueOf(was), reflect.ValueOf(is))
	return infer.DiffResponse{HasChanges: len(changed) > 0, DetailedDiff: changed}
}

// Output adds an output to the differences: it is not as the inputs want it, and an update mends that.
func Output(diff infer.DiffResponse, name string) infer.DiffResponse {
	diff.HasChanges = true
	diff.DetailedDiff[name] = p.PropertyDiff{Kind: p.Update}
	return diff
}

// Replaces says whether the differences make another resource.
func Replaces(diff infer.DiffResponse) bool {
	for _, change := range diff.DetailedDiff {
		if change.Kind == p.UpdateReplace {
			return true
		}
	}
	return false
}

func fields(changed map[string]p.PropertyDiff, prefix string, kind p.DiffKind, was, is reflect.Value) {
	for _, field := range reflect.VisibleFields(was.Type()) {
		name, isInput := property(field)
		if !isInput {
			continue
		}
		kind := kind
		if slices.Contains(strings.Split(field.Tag.Get("provider"), ","), "replaceOnChanges") {
			kind = p.UpdateReplace
		}
		was, is := reflect.Indirect(was.FieldByIndex(field.Index)), reflect.Indirect(is.FieldByIndex(field.Index))
		switch {
		case was.IsValid() && is.IsValid() && was.Kind() == reflect.Struct:
			fields(changed, prefix+name+".", kind, was, is)
		case !equal(was, is):
			changed[prefix+name] = p.PropertyDiff{Kind: kind, InputDiff: true}
		}
	}
}

// property is the name of a field in Pulumi. Embedded structs have none: their fields stand in their place.
func property(field reflect.StructField) (name string, isInput bool) {
	tag, tagged := field.Tag.Lookup("pulumi")
	name, _, _ = strings.Cut(tag, ",")
	return name, tagged && field.IsExported()
}

// equal compares what is not a struct. Invalid values are those of pointers to nothing. A list that is absent is equal to
// an empty one: which of the two is in a state depends on the way it went.
func equal(was, is reflect.Value) bool {
	switch {
	case !was.IsValid() || !is.IsValid():
		return was.IsValid() == is.IsValid()
	case was.Kind() == reflect.Slice && was.Len() == 0 && is.Len() == 0:
		return true
	default:
		return reflect.DeepEqual(was.Interface(), is.Interface())
	}
}
