//go:build e2e

package scenario

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/internal/stackstate"
)

// rendered is where our own files are on a machine; kept is where the products keep what they make of them.
const (
	rendered = "/etc/consul.d /etc/nomad.d /etc/vault.d /etc/vault-agent.d /etc/consul-template.d /etc/hashistack /etc/systemd/system " +
		"/etc/default /etc/environment /usr/local /var/lib/cloud/instance/user-data.txt"
	kept = "/opt/consul /opt/nomad /opt/vault /run /var/lib/consul-template /var/lib/vault-agent"
)

func (r *run) verification(t *testing.T) {
	for _, machine := range slices.Sorted(maps.Keys(r.outputs.Machines)) {
		search := func(flags, pattern, places string) string {
			// Patterns come by standard input, where no shell looks at them. Without a match grep's exit code is 1.
			out, err := r.stack.OnMachineWith(t.Context(), strings.NewReader(pattern+"\n"), machine,
				"bash", "-c", "grep -riE --no-messages --devices=skip --file=- "+flags+" "+places+"; [ $? -le 2 ]")
			require.NoError(t, err, machine)
			return strings.TrimSpace(string(out))
		}
		assert.Empty(t, search("-I", off, rendered), machine)
		assert.Empty(t, search("-ao", switchedOff, kept), machine)
		assert.Empty(t, search("-al", offInEnvironment, "/proc/[0-9]*/environ"), machine)
		assert.Contains(t, search("-Il", "ca_?file", rendered), "/etc/consul.d", "the search must see the files of %s at all", machine)
	}
}

// shortest secret that is looked for: anything shorter would be found by chance.
const shortest = 16

// leaves collects the strings of a secret, a line of each. For a key of several lines it is one from the middle.
func leaves(value any, found map[string]bool) {
	switch v := value.(type) {
	case string:
		lines := strings.Split(strings.TrimSpace(v), "\n")
		if strings.Contains(v, "CERTIFICATE") && !strings.Contains(v, "PRIVATE KEY") {
			return // public, even when the state has it as a secret
		}
		if len(lines) > 5 && !strings.HasPrefix(lines[0], "-----BEGIN") {
			return // user-data: its secrets are secrets of their own
		}
		line := lines[len(lines)/2]
		if len(line) >= shortest && !public.MatchString(line) {
			found[line] = true
		}
	case []any:
		for _, element := range v {
			leaves(element, found)
		}
	case map[string]any:
		for _, element := range v {
			leaves(element, found)
		}
	}
}

// public matches values that are no secrets. Pulumi treats them as secrets because they came together with one:
// addresses, names, paths.
var public = regexp.MustCompile(`^(https?://|/|\{)|^[a-z-]+$`)

func (r *run) secrets(t *testing.T) {
	shown, err := r.stack.Export(t.Context(), true)
	require.NoError(t, err)
	var state any
	require.NoError(t, json.Unmarshal(shown, &state))
	found := map[string]bool{r.sample.Greeting: true}
	stackstate.Secrets(state, func(plain any) { leaves(plain, found) })
	for _, token := range []string{r.outputs.VaultToken, r.outputs.ConsulToken, r.outputs.NomadToken} {
		require.True(t, found[token], "the outputs' tokens are among the secrets of the state")
	}
	require.Greater(t, len(found), 20, "secrets of the stack")
	secrets := slices.Sorted(maps.Keys(found))

	encrypted, err := r.stack.Export(t.Context(), false)
	require.NoError(t, err)
	logs, err := filepath.Glob(r.stack.Path("events", "*"))
	require.NoError(t, err)
	texts := map[string]string{"pulumi stack export": string(encrypted), "what make and pulumi printed": r.said.String()}
	for _, log := range logs {
		content, err := os.ReadFile(log)
		require.NoError(t, err)
		texts[log] = string(content)
	}
	for where, text := range texts {
		for _, secret := range secrets {
			assert.False(t, strings.Contains(text, secret), //nolint:testifylint // NotContains would print the secret
				"%s holds a secret: %.6s…", where, secret)
		}
	}
	for _, machine := range slices.Sorted(maps.Keys(r.outputs.Machines)) {
		r.secretsOn(t, machine, secrets)
	}
}

// secretsOn looks for secrets on a machine as an unprivileged user could: in files, and in the command lines and
// environments of processes. It also looks for the private keys that were made on the machine itself.
func (r *run) secretsOn(t *testing.T, machine string, secrets []string) {
	t.Helper()
	const places = "/etc /opt /var /run /srv /home /root /tmp /usr/local /proc/[0-9]*/cmdline /proc/[0-9]*/environ"
	keys, err := r.stack.OnMachine(t.Context(), machine, "bash", "-c",
		`grep -rhA2 --no-messages -e '-----BEGIN.*PRIVATE KEY-----' /etc/consul.d /etc/nomad.d /etc/vault.d | grep -vE '^--' | awk 'length >= 40'`)
	require.NoError(t, err)
	patterns := append(slices.Clone(secrets), strings.Fields(string(keys))...)
	require.Greater(t, len(patterns), len(secrets), "private keys on %s", machine)

	search := "grep -rlaF --no-messages --file=- --devices=skip " + places + " || true"
	as := func(who ...string) []string {
		out, err := r.stack.OnMachineWith(t.Context(), strings.NewReader(strings.Join(patterns, "\n")+"\n"), machine,
			append(who, "bash", "-c", search)...)
		require.NoError(t, err)
		return strings.Fields(string(out))
	}
	assert.Empty(t, as("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"), "files of %s with secrets that anyone may read", machine)
	assert.NotEmpty(t, as(), "root must find what nobody must not")
}
