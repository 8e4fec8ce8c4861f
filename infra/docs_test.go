package infra

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write the settings into README.md and Pulumi.yaml instead of comparing with them")

// README.md and Pulumi.yaml say what the declarations say.
func TestDocumentation(t *testing.T) {
	described := (&Config{}).settings().describe()
	for file, made := range map[string]struct{ begin, end, content string }{
		"README.md": {
			"<!-- settings: made from infra/settings.go by `go test ./infra -update` -->\n", "<!-- settings: end -->\n", "\n" + markdown(described) + "\n",
		},
		"Pulumi.yaml": {
			"# settings: made from infra/settings.go by `go test ./infra -update`\n", "# settings: end\n", pulumiConfig(t, described),
		},
	} {
		t.Run(file, func(t *testing.T) {
			path := filepath.Join("..", file)
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			before, rest, begins := strings.Cut(string(content), made.begin)
			is, after, ends := strings.Cut(rest, made.end)
			require.True(t, begins && ends, "%s has the lines %q and %q", file, made.begin, made.end)
			if *update {
				require.NoError(t, os.WriteFile(path, []byte(before+made.begin+made.content+made.end+after), 0o600))
				return
			}
			assert.Equal(t, made.content, is, "%s differs from infra/settings.go: run `go test ./infra -update`", file)
		})
	}
}

// markdown is a table of the keys, and one for the keys below each of them that has some.
func markdown(described []description) string {
	var text strings.Builder
	text.WriteString(markdownTable(namespace+":", described))
	for _, d := range described {
		if len(d.keys) == 0 {
			continue
		}
		fmt.Fprintf(&text, "\n#### `%s:%s`\n\n%s.", namespace, d.key, d.says)
		if d.more != "" {
			fmt.Fprintf(&text, " %s", d.more)
		}
		fmt.Fprintf(&text, "\n\n%s", markdownTable("", d.keys))
	}
	return text.String()
}

func markdownTable(prefix string, described []description) string {
	var rows, rules strings.Builder
	for _, d := range described {
		if d.key == "" {
			fmt.Fprintf(&rules, "- %s\n", d.says)
			continue
		}
		fmt.Fprintf(&rows, "| `%s%s` | %s | %s | %s |\n", prefix, d.key, d.says, markdownValue(d), markdownDefault(d))
	}
	table := "| key | what it is | value | default |\n|---|---|---|---|\n" + rows.String()
	if rules.Len() > 0 {
		table += "\n" + rules.String()
	}
	return table
}

func markdownValue(d description) string {
	var value string
	switch {
	case d.items == "object":
		return fmt.Sprintf("list of [keys](#%s%s)", namespace, strings.ToLower(d.key))
	case len(d.keys) > 0:
		return fmt.Sprintf("[keys](#%s%s)", namespace, strings.ToLower(d.key))
	case d.items != "":
		value = "list, each " + d.must
	default:
		value = d.must
	}
	if !isZero(d.example) {
		value += fmt.Sprintf("; for example `%s`", flow(d.example))
	}
	return value
}

func markdownDefault(d description) string {
	switch {
	case required(d):
		return "required"
	case hasDefault(d):
		return "`" + flow(d.defaultTo) + "`"
	case d.without != "":
		return d.without
	}
	return "each has one"
}

// plain is a value as a stack's configuration has it.
func plain(value any) any {
	switch v := value.(type) {
	case int, string:
		return v
	case time.Duration:
		return short(v)
	case netip.Prefix:
		return v.String()
	}
	switch v := reflect.ValueOf(value); v.Kind() {
	case reflect.String:
		return v.String()
	case reflect.Slice:
		values := make([]any, v.Len())
		for i := range values {
			values[i] = plain(v.Index(i).Interface())
		}
		return values
	}
	return value
}

// flow is a value as one line of YAML.
func flow(value any) string {
	encoded, err := yaml.Marshal(struct {
		Value any `yaml:"value,flow"`
	}{plain(value)})
	if err != nil {
		panic(err)
	}
	return strings.TrimSpace(strings.TrimPrefix(string(encoded), "value:"))
}

// pulumiConfig declares the keys to Pulumi. It takes a key without a default for a required one: keys that are optional
// and have no default cannot be declared.
func pulumiConfig(t *testing.T, described []description) string {
	t.Helper()
	type items struct {
		Type string `yaml:"type"`
	}
	type declaration struct {
		Type        string `yaml:"type"`
		Items       *items `yaml:"items,omitempty,flow"`
		Description string `yaml:"description"`
		Default     any    `yaml:"default,omitempty,flow"`
	}
	text := "config:\n"
	var undeclared []string
	for _, d := range described {
		if d.key == "" {
			continue
		}
		if d.without != "" {
			undeclared = append(undeclared, namespace+":"+d.key)
			continue
		}
		declared := declaration{Type: "string", Description: d.says}
		switch {
		case d.items != "":
			declared.Type, declared.Items = "array", &items{d.items}
		case len(d.keys) > 0:
			declared.Type, declared.Default = "object", defaults(d.keys)
		case hasDefault(d):
			declared.Default = plain(d.defaultTo)
		}
		if _, number := d.defaultTo.(int); number {
			declared.Type = "integer"
		}
		encoded, err := yaml.Marshal(map[string]declaration{namespace + ":" + d.key: declared})
		require.NoError(t, err)
		for line := range strings.Lines(string(encoded)) {
			text += "  " + strings.Replace(line, "    ", "  ", 1)
		}
	}
	return text + "  # Not declared, because Pulumi requires every declared key that has no default: " + strings.Join(undeclared, ", ") + ".\n"
}

func defaults(described []description) map[string]any {
	values := map[string]any{}
	for _, d := range described {
		if d.key != "" && d.without == "" { // what means nothing stands for nothing
			values[d.key] = plain(d.defaultTo)
		}
	}
	return values
}

// Pulumi gives the program the defaults in Pulumi.yaml for keys that a stack does not have. They change nothing.
func TestDefaultsOfPulumi(t *testing.T) {
	t.Setenv("HCLOUD_TOKEN", "a token")
	project, err := workspace.LoadProject(filepath.Join("..", "Pulumi.yaml"))
	require.NoError(t, err)
	require.NoError(t, project.Validate())

	for _, stack := range []string{"prod", "local"} {
		raw := stackConfig(t, stack)
		delete(raw, "hashistack:mirror") // its key is made when the local cloud starts
		without, err := LoadConfig(raw)
		require.NoError(t, err)
		for key, declared := range project.Config {
			value, ok := raw[key]
			if !ok {
				require.NotNil(t, declared.Default, "%s: Pulumi would require it of stack %s", key, stack)
				encoded, err := json.Marshal(declared.Default)
				require.NoError(t, err)
				value = strings.Trim(string(encoded), `"`)
				raw[key] = value
			}
			var structured any = value
			if strings.ContainsAny(value[:1], "[{") {
				require.NoError(t, json.Unmarshal([]byte(value), &structured))
			}
			assert.True(t, workspace.ValidateConfigValue(declared.TypeName(), declared.Items, structured), "%s of stack %s", key, stack)
		}
		with, err := LoadConfig(raw)
		require.NoError(t, err)
		assert.Equal(t, without, with)
	}
}
