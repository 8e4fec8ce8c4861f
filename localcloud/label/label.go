// Package label checks the labels of the Hetzner Cloud and selects resources by them.
//
// The rules are those of https://docs.hetzner.cloud, sections "Labels" and "Label Selector".
package label

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

const (
	maxName   = 63
	maxPrefix = 253
	// Hetzner keeps this prefix for itself.
	reservedPrefix = "hetzner.cloud"
)

var (
	namePattern   = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)
	prefixPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)
)

// Validate returns an error that names the first label, in the order of keys, that breaks a rule.
func Validate(labels map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if err := validateKey(key); err != nil {
			return err
		}
		if err := validateValue(labels[key]); err != nil {
			return fmt.Errorf("label %q: %w", key, err)
		}
	}
	return nil
}

func validateKey(key string) error {
	prefix, name, prefixed := strings.Cut(key, "/")
	if !prefixed {
		prefix, name = "", key
	}
	switch {
	case prefixed && (len(prefix) > maxPrefix || !prefixPattern.MatchString(prefix)):
		return fmt.Errorf("label key %q: prefix must be a DNS subdomain of at most %d characters", key, maxPrefix)
	case prefix == reservedPrefix:
		return fmt.Errorf("label key %q: prefix %s/ is reserved", key, reservedPrefix)
	case len(name) > maxName || !namePattern.MatchString(name):
		return fmt.Errorf("label key %q: must have 1 to %d characters of [A-Za-z0-9._-] and begin and end with a letter or digit", key, maxName)
	}
	return nil
}

func validateValue(value string) error {
	if value == "" {
		return nil
	}
	if len(value) > maxName || !namePattern.MatchString(value) {
		return fmt.Errorf("value %q must be empty or have at most %d characters of [A-Za-z0-9._-] and begin and end with a letter or digit", value, maxName)
	}
	return nil
}

// Selector picks resources by their labels. The zero value picks all.
type Selector struct{ terms []term }

type term struct {
	key    string
	op     operator
	values []string
}

type operator int

const (
	exists operator = iota
	missing
	in
	notIn
)

// Parse reads a selector: terms k, !k, k=v, k==v, k!=v, k in (v1,v2) and k notin (v1,v2), joined by commas that mean
// "and".
func Parse(selector string) (Selector, error) {
	var s Selector
	if strings.TrimSpace(selector) == "" {
		return s, nil
	}
	for _, part := range splitTerms(selector) {
		t, err := parseTerm(strings.TrimSpace(part))
		if err != nil {
			return Selector{}, fmt.Errorf("label selector %q: %w", selector, err)
		}
		s.terms = append(s.terms, t)
	}
	return s, nil
}

// splitTerms cuts at the commas outside parentheses.
func splitTerms(selector string) []string {
	var parts []string
	depth, start := 0, 0
	for i, r := range selector {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 0 {
				parts = append(parts, selector[start:i])
				start = i + 1
			}
		}
	}
	return append(parts, selector[start:])
}

var setTerm = regexp.MustCompile(`^(\S+)\s+(in|notin)\s*\(([^()]*)\)$`)

func parseTerm(text string) (term, error) {
	var t term
	switch {
	case setTerm.MatchString(text):
		m := setTerm.FindStringSubmatch(text)
		t = term{key: m[1], op: in}
		if m[2] == "notin" {
			t.op = notIn
		}
		for _, value := range strings.Split(m[3], ",") {
			t.values = append(t.values, strings.TrimSpace(value))
		}
	case strings.Contains(text, "!="):
		key, value, _ := strings.Cut(text, "!=")
		t = term{key: key, op: notIn, values: []string{strings.TrimSpace(value)}}
	case strings.Contains(text, "=="):
		key, value, _ := strings.Cut(text, "==")
		t = term{key: key, op: in, values: []string{strings.TrimSpace(value)}}
	case strings.Contains(text, "="):
		key, value, _ := strings.Cut(text, "=")
		t = term{key: key, op: in, values: []string{strings.TrimSpace(value)}}
	case strings.HasPrefix(text, "!"):
		t = term{key: text[1:], op: missing}
	default:
		t = term{key: text, op: exists}
	}
	t.key = strings.TrimSpace(t.key)
	if err := validateKey(t.key); err != nil {
		return term{}, fmt.Errorf("term %q: %w", text, err)
	}
	for _, value := range t.values {
		if err := validateValue(value); err != nil {
			return term{}, fmt.Errorf("term %q: %w", text, err)
		}
	}
	return t, nil
}

// Matches says whether a resource with these labels is selected. A term with != or notin selects resources without the
// key too.
func (s Selector) Matches(labels map[string]string) bool {
	for _, t := range s.terms {
		value, present := labels[t.key]
		var ok bool
		switch t.op {
		case exists:
			ok = present
		case missing:
			ok = !present
		case in:
			ok = present && slices.Contains(t.values, value)
		case notIn:
			ok = !present || !slices.Contains(t.values, value)
		}
		if !ok {
			return false
		}
	}
	return true
}
