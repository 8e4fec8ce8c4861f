package stack

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Outputs are what the program exports for the people and pipelines that use the platform.
type Outputs struct {
	Machines      map[string]string `json:"machines"` // public address by name
	CAFile        string            `json:"caFile"`
	VaultAddress  string            `json:"vaultAddress"`
	VaultToken    string            `json:"vaultToken"`
	ConsulAddress string            `json:"consulAddress"`
	ConsulToken   string            `json:"consulToken"`
	NomadAddress  string            `json:"nomadAddress"`
	NomadToken    string            `json:"nomadToken"`
}

// Outputs reads the stack's outputs, secrets in plain text.
func (s *Stack) Outputs(ctx context.Context) (*Outputs, error) {
	content, err := s.pulumiOutput(ctx, "stack", "output", "--json", "--show-secrets")
	if err != nil {
		return nil, err
	}
	var out Outputs
	if err := json.Unmarshal(content, &out); err != nil {
		return nil, fmt.Errorf("decode the stack's outputs: %w", err)
	}
	if out.CAFile != "" && !filepath.IsAbs(out.CAFile) {
		out.CAFile = filepath.Join(s.Root, out.CAFile)
	}
	return &out, nil
}

// variable is an environment variable. Lists of them are in the order in which they are shown.
type variable struct{ name, value string }

// base is what pulumi and the Hetzner clients need.
func (s *Stack) base() ([]variable, error) {
	token, err := s.token()
	if err != nil {
		return nil, err
	}
	return append([]variable{
		{"PATH", filepath.Join(s.Root, ".tools", "bin") + string(os.PathListSeparator) + withoutTools(os.Getenv("PATH"))},
		{"PULUMI_HOME", filepath.Join(s.Root, ".tools", "pulumi")},
		{"PULUMI_BACKEND_URL", "file://" + s.Path("state")},
		{"PULUMI_STACK", Name},
		{"PULUMI_CONFIG_PASSPHRASE", passphrase},
		// The tools are pinned, so looking for a newer version is a wasted request.
		{"PULUMI_SKIP_UPDATE_CHECK", "true"},
		// All plugins that the stack needs are there. A missing one is a mistake, not something to download.
		{"PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION", "true"},
		{"HCLOUD_ENDPOINT", "http://" + CloudAddress + "/v1"},
		{"HCLOUD_TOKEN", token},
	}, noProxy(os.Getenv)...), nil
}

// withoutTools drops our own folder from a PATH, so that sourcing the exports twice does not lengthen it.
func withoutTools(path string) string {
	return strings.Join(slices.DeleteFunc(filepath.SplitList(path), func(dir string) bool {
		return strings.HasSuffix(dir, filepath.Join(".tools", "bin"))
	}), string(os.PathListSeparator))
}

// clients are the standard variables of the three products' CLIs.
func (o *Outputs) clients() []variable {
	return []variable{
		{"VAULT_ADDR", o.VaultAddress}, {"VAULT_CACERT", o.CAFile}, {"VAULT_TOKEN", o.VaultToken},
		{"CONSUL_HTTP_ADDR", o.ConsulAddress}, {"CONSUL_CACERT", o.CAFile}, {"CONSUL_HTTP_TOKEN", o.ConsulToken},
		{"NOMAD_ADDR", o.NomadAddress}, {"NOMAD_CACERT", o.CAFile}, {"NOMAD_TOKEN", o.NomadToken},
	}
}

// Environ is the environment of the commands that are run for the stack.
func (s *Stack) Environ() ([]string, error) {
	variables, err := s.base()
	if err != nil {
		return nil, err
	}
	environ := os.Environ()
	for _, v := range variables {
		environ = append(environ, v.name+"="+v.value) // the last one counts
	}
	return environ, nil
}

// Exports are shell commands that set up a shell for working with the stack, as far as it is there.
func (s *Stack) Exports(ctx context.Context) (string, error) {
	variables, err := s.base()
	if err != nil {
		return "", err
	}
	outputs := &Outputs{}
	var text strings.Builder
	if s.exists() {
		if outputs, err = s.Outputs(ctx); err != nil {
			return "", err
		}
		// The stack's own tokens stay in its state.
		tokens, err := outputs.shift(ctx)
		if err != nil {
			fmt.Fprintf(&text, "# No tokens, because Vault gives none (%s). Try again when it does.\n", strings.Join(strings.Fields(err.Error()), " "))
			tokens = &Tokens{}
		}
		outputs.VaultToken, outputs.ConsulToken, outputs.NomadToken = tokens.Vault, tokens.Consul, tokens.Nomad
	}
	for _, v := range append(variables, outputs.clients()...) {
		if v.value == "" {
			continue // not there yet: the stack is not up, or not all of it
		}
		fmt.Fprintf(&text, "export %s=%s\n", v.name, quote(v.value))
	}
	return text.String(), nil
}

// quote makes a value one word of a POSIX shell.
func quote(value string) string { return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'" }
