package native

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
)

// The functions here turn what a product says it has into inputs as the program would write them, so that a refresh
// shows what changed and nothing else.

// Optional returns the live value of an optional input. An unset input stays unset while the live value is what unset
// means.
func Optional[T comparable](input *T, live, unset T) *T {
	if input == nil && live == unset {
		return nil
	}
	return &live
}

// Set returns the live elements of an input whose order means nothing. While the elements are the same, it keeps the
// input's order.
func Set(input, live []string) []string {
	if SameSet(input, live) {
		return input
	}
	return live
}

// SameSet tells whether two lists have the same elements.
func SameSet(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// List returns the live elements of an input list. An unset list stays unset while there are none.
func List[T any](input, live []T) []T {
	if len(input) == 0 && len(live) == 0 {
		return input
	}
	return live
}

// Covers tells whether a live document says everything that was asked for. It may say more, because products fill in
// defaults. Lists must have the same elements in the same order. Both are compared as the JSON they make.
func Covers(live, wanted any) (bool, error) {
	a, err := document(live)
	if err != nil {
		return false, err
	}
	b, err := document(wanted)
	if err != nil {
		return false, err
	}
	return covers(a, b), nil
}

// Asked returns the JSON of a struct without its empty fields, for products that take an empty field and a missing one
// for the same.
func Asked(v any) (any, error) {
	d, err := document(v)
	return prune(d), err
}

func prune(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, element := range v {
			if v[k] = prune(element); empty(v[k]) {
				delete(v, k)
			}
		}
	case []any:
		for i := range v {
			v[i] = prune(v[i])
		}
	}
	return v
}

func document(v any) (any, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode for comparison: %w", err)
	}
	var d any
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("decode for comparison: %w", err)
	}
	return d, nil
}

func covers(live, wanted any) bool {
	switch wanted := wanted.(type) {
	case map[string]any:
		live, ok := live.(map[string]any)
		if !ok {
			return empty(wanted)
		}
		for k, v := range wanted {
			if !covers(live[k], v) {
				return false
			}
		}
		return true
	case []any:
		live, _ := live.([]any)
		return slices.EqualFunc(live, wanted, covers)
	}
	return reflect.DeepEqual(live, wanted) || live == nil && empty(wanted)
}

// empty tells whether a value asks for nothing.
func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case bool:
		return !v
	case float64:
		return v == 0
	case []any:
		return len(v) == 0
	case map[string]any:
		for _, element := range v {
			if !empty(element) {
				return false
			}
		}
		return true
	}
	return false
}

// Value returns what a pointer points to, and the zero value for nil.
func Value[T any](v *T) T {
	if v == nil {
		var zero T
		return zero
	}
	return *v
}

// OrElse returns what a pointer points to, and a default for nil.
func OrElse[T any](v *T, otherwise T) T {
	if v == nil {
		return otherwise
	}
	return *v
}

// Map returns the live entries of an input map. An unset map stays unset while there are none.
func Map[T any](input, live map[string]T) map[string]T {
	if len(input) == 0 && len(live) == 0 {
		return input
	}
	return live
}
