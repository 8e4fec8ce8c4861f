package infra

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
)

// decode fills cfg from the keys of our namespace. Keys that Config does not have are problems, wherever they stand.
func (p *problems) decode(raw map[string]string, cfg *Config) {
	values := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(raw)) {
		if name, ours := strings.CutPrefix(key, namespace+":"); ours {
			values[name] = stored(raw[key])
		}
	}
	decoder, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		Result:      cfg,
		TagName:     "json",
		ErrorUnused: true,
		MatchName:   func(key, field string) bool { return key == field },
		DecodeHook:  fit,
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

// stored is a value as Pulumi stores it: structured ones are JSON, and plain ones are their text, whatever it looks like.
func stored(text string) any {
	var value any
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber() // a number can stand for text, which a float64 would change
	err := decoder.Decode(&value)
	if _, more := decoder.Token(); err != nil || !errors.Is(more, io.EOF) {
		return text
	}
	switch value.(type) {
	case map[string]any, []any, string:
		return value
	}
	return text
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
