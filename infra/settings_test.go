package infra

import (
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Nobody can add a key without saying what it is: every field of Config is declared, and every declaration has a field.
func TestEveryFieldIsDeclared(t *testing.T) {
	cfg := &Config{}
	assertDeclared(t, "", reflect.ValueOf(cfg).Elem(), cfg.settings().describe())
}

func assertDeclared(t *testing.T, at string, structure reflect.Value, described []description) {
	t.Helper()
	declared := map[string]description{}
	for _, d := range described {
		if d.key == "" {
			continue // a rule
		}
		path := join(at, d.key)
		assert.NotContains(t, declared, d.key, "%s is declared twice", path)
		assert.Contains(t, d.says, " ", "%s: a sentence says what it is", path)
		declared[d.key] = d
	}
	for i := range structure.NumField() {
		field := structure.Type().Field(i)
		if !field.IsExported() {
			continue
		}
		key := field.Tag.Get("json")
		path := join(at, key)
		d, ok := declared[key]
		if !assert.True(t, ok, "%s.%s (%s): declare it in settings.go, beside the others of its struct", structure.Type(), field.Name, path) {
			continue
		}
		delete(declared, key)
		if d.field != nil {
			assert.Same(t, structure.Field(i).Addr().Interface(), d.field, "%s is declared with another field than its own", path)
		}
		switch {
		case d.parent != nil:
			assertDeclared(t, path, reflect.ValueOf(d.parent).Elem(), d.keys)
		case d.keys != nil:
			assertDeclared(t, path, structure.Field(i), d.keys)
		default:
			assert.NotEmpty(t, d.must, "%s: say what its values must be", path)
			assert.NotEqual(t, hasDefault(d), !isZero(d.example), "%s: it needs a default or an example, and not both", path)
		}
	}
	for key := range declared {
		assert.Fail(t, "a declaration without a field", "%s: %s has no field with this key", join(at, key), structure.Type())
	}
}

func isZero(value any) bool { return value == nil || reflect.ValueOf(value).IsZero() }

func hasDefault(d description) bool { return !isZero(d.defaultTo) }

// required tells whether a stack has to say something about a key: it has neither a default nor a meaning when it is left
// out.
func required(d description) bool {
	group := d.keys != nil && d.field == nil
	return !hasDefault(d) && d.without == "" && !group
}

// What is said to be required is missed when it is left out, and nothing else is.
func TestRequiredKeys(t *testing.T) {
	t.Setenv("HCLOUD_TOKEN", "a token")
	_, nothing := LoadConfig(map[string]string{})
	_, nothingNested := LoadConfig(map[string]string{"hashistack:pools": "[{}]", "hashistack:mirror": "{}", "hashistack:seal": "{}"})
	for _, d := range (&Config{}).settings().describe() {
		if d.key == "" {
			continue
		}
		assertMissed(t, nothing, d.key, required(d))
		for _, below := range d.keys {
			if below.key == "" {
				continue
			}
			parent := d.key
			if d.items != "" {
				parent += "[0]"
			}
			assertMissed(t, nothingNested, join(parent, below.key), required(below))
			assert.False(t, d.parent != nil && hasDefault(below),
				"%s.%s: it can have no default, because there is no field for it before a stack has the key above", d.key, below.key)
		}
	}
}

func assertMissed(t *testing.T, problems error, path string, required bool) {
	t.Helper()
	missed := strings.Contains(problems.Error(), "hashistack:"+path+": ")
	assert.Equal(t, required, missed, "%s: required (%v) and missed when it is left out (%v)", path, required, missed)
}

// The examples of the documentation, taken together, are a good configuration.
func TestExamplesAreGood(t *testing.T) {
	t.Setenv("HCLOUD_TOKEN", "a token")
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("mirror.asc", []byte(testKey), 0o600))
	pgpKeyFiles(t)
	raw := map[string]string{}
	for key, value := range examples((&Config{}).settings().describe()) {
		encoded, err := json.Marshal(value)
		require.NoError(t, err)
		raw[namespace+":"+key] = string(encoded)
	}
	cfg, err := LoadConfig(raw)
	require.NoError(t, err)
	assert.Equal(t, testKey, cfg.Mirror.key)
}

func examples(described []description) map[string]any {
	values := map[string]any{}
	for _, d := range described {
		switch {
		case d.items == "object":
			values[d.key] = []any{examples(d.keys)}
		case len(d.keys) > 0:
			values[d.key] = examples(d.keys)
		case !isZero(d.example):
			values[d.key] = d.example
		}
	}
	return values
}

// Every text has a pattern: whatever it is part of, it cannot become a line of its own, an action of consul-template, or
// something that cannot be seen.
func TestEveryTextHasAPattern(t *testing.T) {
	t.Setenv("HCLOUD_TOKEN", "a token")
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("mirror.asc", []byte(testKey), 0o600))
	pgpKeyFiles(t)
	encoded, err := json.Marshal(samples((&Config{}).settings().describe()))
	require.NoError(t, err)
	var all any
	require.NoError(t, json.Unmarshal(encoded, &all))
	load := func() error {
		raw := map[string]string{}
		for key, value := range all.(map[string]any) {
			encoded, err := json.Marshal(value)
			require.NoError(t, err)
			raw[namespace+":"+key] = string(encoded)
		}
		_, err := LoadConfig(raw)
		return err
	}
	require.NoError(t, load())
	seen := 0
	eachText(all, func(is string, set func(string)) {
		seen++
		for _, bad := range []string{is + "\n", "\n" + is, is + "\x00", is + "\x1b[2J", is + "{{ key }}", is + "}}", is + "\u2028", "\u202e" + is} {
			set(bad)
			require.Error(t, load(), "%q", bad)
		}
		set(is)
	})
	require.Greater(t, seen, 30)
	require.NoError(t, load())
}

// eachText visits every text in a value of JSON, the names of pairs too.
func eachText(value any, visit func(is string, set func(string))) {
	switch v := value.(type) {
	case []any:
		for i, element := range v {
			if text, ok := element.(string); ok {
				visit(text, func(other string) { v[i] = other })
				continue
			}
			eachText(element, visit)
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if text, ok := v[key].(string); ok {
				visit(text, func(other string) { v[key] = other })
				name := key
				visit(name, func(other string) {
					delete(v, name)
					name = other
					v[name] = text
				})
				continue
			}
			eachText(v[key], visit)
		}
	}
}

// samples are a good value of each key: its example, or its default.
func samples(described []description) map[string]any {
	values := map[string]any{}
	for _, d := range described {
		switch {
		case d.items == "object":
			values[d.key] = []any{samples(d.keys)}
		case len(d.keys) > 0:
			values[d.key] = samples(d.keys)
		case !isZero(d.example):
			values[d.key] = plain(d.example)
		case hasDefault(d):
			values[d.key] = plain(d.defaultTo)
		}
	}
	return values
}
