package infra

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
)

// decode fills cfg from the keys of our namespace. Keys that Config does not have are problems, wherever they stand.
func (p *problems) decode(raw map[string]string, cfg *Config) {
	values := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(raw)) {
		name, ours := strings.CutPrefix(key, namespace+":")
		if !ours {
			continue
		}
		// Pulumi stores structured values as JSON and plain ones as they are.
		var value any
		if err := json.Unmarshal([]byte(raw[key]), &value); err != nil {
			value = raw[key]
		}
		values[name] = value
	}
	decoder, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		Result:      cfg,
		TagName:     "json",
		ErrorUnused: true,
		MatchName:   func(key, field string) bool { return key == field },
		DecodeHook: mapstructure.ComposeDecodeHookFunc(
			mapstructure.TextUnmarshallerHookFunc(), durationHook, wholeHook),
	})
	if err != nil {
		p.add("", "%v", err)
		return
	}
	for _, err := range leaves(decoder.Decode(values)) {
		var at *mapstructure.DecodeError
		if !errors.As(err, &at) {
			p.add("", "%v", err)
			continue
		}
		keys, unknown := strings.CutPrefix(at.Unwrap().Error(), "has invalid keys: ")
		if !unknown {
			p.add(at.Name(), "%v", at.Unwrap())
			continue
		}
		for key := range strings.SplitSeq(keys, ", ") {
			p.add(strings.TrimPrefix(at.Name()+"."+key, "."),
				"unknown key: remove it or correct its spelling; README.md lists the keys")
		}
	}
}

// durationHook reads durations as Go writes them.
func durationHook(from, to reflect.Type, value any) (any, error) {
	if from.Kind() != reflect.String || to != reflect.TypeFor[time.Duration]() {
		return value, nil
	}
	duration, err := time.ParseDuration(value.(string))
	if err != nil {
		return nil, fmt.Errorf("must be a duration such as 90s, 30m or 24h, got %q", value)
	}
	return duration, nil
}

// wholeHook refuses fractions where whole numbers are wanted. JSON has one kind of number, and mapstructure would cut it.
func wholeHook(from, to reflect.Type, value any) (any, error) {
	if from.Kind() != reflect.Float64 || to.Kind() != reflect.Int {
		return value, nil
	}
	if number := value.(float64); number != math.Trunc(number) {
		return nil, fmt.Errorf("must be a whole number, got %v", number)
	}
	return value, nil
}

// leaves lists the single errors in a tree of joined and wrapped ones. It walks the tree node by node, which errors.As
// cannot: it stops at the first match.
//
//nolint:errorlint // see above
func leaves(err error) []error {
	switch node := err.(type) {
	case nil:
		return nil
	case *mapstructure.DecodeError:
		return []error{node}
	case interface{ Unwrap() []error }:
		var all []error
		for _, err := range node.Unwrap() {
			all = append(all, leaves(err)...)
		}
		return all
	case interface{ Unwrap() error }:
		return leaves(node.Unwrap())
	}
	return []error{err}
}
