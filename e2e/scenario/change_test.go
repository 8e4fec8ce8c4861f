//go:build e2e

package scenario

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/e2e/stack"
)

// previewWith previews the running stack with another configuration: some texts of Pulumi.local.yaml, each for another.
func (r *run) previewWith(t *testing.T, changes ...string) (steps map[string][]string, said string, failed error) {
	t.Helper()
	file := r.stack.Config
	if file == "" {
		file = filepath.Join(r.stack.Root, "Pulumi.local.yaml")
	}
	before, err := os.ReadFile(file)
	require.NoError(t, err)
	after := strings.NewReplacer(changes...).Replace(string(before))
	require.NotEqual(t, string(before), after, "the configuration has nothing to change")
	changed := *r.stack
	changed.Config = filepath.Join(t.TempDir(), "Pulumi.local.yaml")
	require.NoError(t, os.WriteFile(changed.Config, []byte(after), 0o600))

	var out bytes.Buffer
	events, failed := changed.Operate(t.Context(), stack.Operation{Args: []string{"preview"}, Output: &out})
	steps = map[string][]string{}
	for _, e := range events {
		if e.Begin != nil && e.Begin.Metadata.Op != "same" {
			kind := e.Begin.Metadata.Type
			name := e.Begin.Metadata.URN[strings.LastIndex(e.Begin.Metadata.URN, "::")+2:]
			steps[kind+" "+name] = append(steps[kind+" "+name], e.Begin.Metadata.Op)
		}
	}
	return steps, out.String(), failed
}

// anotherStack is what cannot become of a stack: refused in the preview, before any step.
func (r *run) anotherStack(t *testing.T) {
	for name, test := range map[string]struct {
		changes []string
		want    []string
	}{
		"elsewhere": {
			[]string{"location: fsn1", "location: nbg1", "network: 10.0.0.0/16", "network: 10.0.0.0/8", "name: client", "name: worker"},
			[]string{
				"must stay fsn1, got nbg1", "must stay 10.0.0.0/16, got 10.0.0.0/8", "10.0.2.0/24 belongs to pool client",
			},
		},
		"another region":        {[]string{"config:\n", "config:\n  hashistack:region: europe\n"}, []string{"must stay global, got europe"}},
		"the last server":       {[]string{"count: 3", "count: 1"}, []string{"must be 3 or 5, got 1, and there are 3"}},
		"servers by other name": {[]string{"name: server", "name: core"}, []string{"its machines hold the data of vault, consul-server, nomad-server"}},
		"servers elsewhere":     {[]string{"subnet: 10.0.1.0/24", "subnet: 10.0.3.0/24"}, []string{"must stay 10.0.1.0/24, got 10.0.3.0/24"}},
	} {
		t.Run(name, func(t *testing.T) {
			steps, said, err := r.previewWith(t, test.changes...)
			require.ErrorIs(t, err, stack.ErrFailed, said)
			for _, want := range test.want {
				assert.Contains(t, said, want)
			}
			assert.Contains(t, said, "RUNBOOK.md")
			for step := range steps {
				assert.Contains(t, step, "StackIdentity", "nothing else is looked at")
			}
		})
	}
}

// notOffered is what the cloud does not have: refused in the preview, with what it has.
func (r *run) notOffered(t *testing.T) {
	steps, said, err := r.previewWith(t, "type: cx23", "type: cx999")
	require.ErrorIs(t, err, stack.ErrFailed, said)
	assert.Contains(t, said, `hashistack:pools[0].type: Hetzner has no server type "cx999" in fsn1: choose one of `)
	assert.Contains(t, said, "cx23")
	assert.Empty(t, steps)
}

// anotherType replaces machines of another type, which leave their clusters before: none is changed in place.
func (r *run) anotherType(t *testing.T) {
	steps, said, err := r.previewWith(t, "type: cx23", "type: cx33")
	require.NoError(t, err, said)
	for _, machine := range append(r.outputs.Members("server"), r.outputs.Members("client")...) {
		for _, kind := range []string{"hcloud:index/server:Server", "hashistack:index:Membership"} {
			ops := steps[kind+" "+machine]
			assert.Contains(t, ops, "replace", "%s %s", kind, machine)
			assert.NotContains(t, ops, "update", "%s %s", kind, machine)
		}
	}
}

// moreServers is what may change: servers are added, and the stack is the same.
func (r *run) moreServers(t *testing.T) {
	steps, said, err := r.previewWith(t, "count: 3", "count: 5")
	require.NoError(t, err, said)
	assert.Equal(t, []string{"update"}, steps["hashistack:index:StackIdentity hashistack"])
	for _, machine := range []string{"server-4", "server-5"} {
		assert.Equal(t, []string{"create"}, steps["hcloud:index/server:Server "+machine])
	}
	for step, ops := range steps {
		if strings.HasPrefix(step, "hcloud:index/network") {
			assert.Empty(t, ops, step)
		}
	}
}
