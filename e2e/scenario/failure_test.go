//go:build e2e

package scenario

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/e2e/stack"
)

// TestFailureReports makes `make up` fail in two ways. Each time it must say what failed, on which machine, and how
// that machine's journal ends. It must leave what it has made for the next `make up` or `make down`.
func TestFailureReports(t *testing.T) {
	s, err := stack.Open()
	require.NoError(t, err)
	require.False(t, s.IsUp(), "a local stack is up: run `make down` first")
	before, err := s.TakeInventory(t.Context())
	require.NoError(t, err)
	var said bytes.Buffer
	s.Out = io.MultiWriter(os.Stderr, &said)
	r := &run{stack: s}
	t.Cleanup(func() {
		if s.IsUp() {
			assert.NoError(t, r.make("down"))
		}
	})
	var phases stack.Phases
	require.NoError(t, s.Prepare(t.Context(), &phases))
	// The time for which a machine is waited for in vain.
	require.NoError(t, s.Configure(func(config map[string]any) error {
		config["hashistack:patience"] = "1m"
		return nil
	}))
	t.Setenv(stack.ConfigVariable, s.Config)

	t.Run("a machine that the cloud refuses", func(t *testing.T) {
		require.NoError(t, stack.SetFault(t.Context(), `{"kind": "no_capacity", "server": "client-2", "times": 99}`))
		said.Reset()
		require.Error(t, r.make("up"))
		report := afterFailed(t, said.String())
		assert.Contains(t, report, "hcloud:index/server:Server client-2")
		assert.Contains(t, report, "currently unavailable in location fsn1")
		assert.NotContains(t, report, "on server-1", "a machine that did not fail")
	})
	t.Run("a machine that never finishes its boot", func(t *testing.T) {
		require.NoError(t, stack.ClearFaults(t.Context()))
		require.NoError(t, stack.SetFault(t.Context(), `{"kind": "boot_hangs", "server": "client-2", "times": 1}`))
		said.Reset()
		require.Error(t, r.make("up"))
		report := afterFailed(t, said.String())
		assert.Contains(t, report, "client-2")
		assert.Contains(t, report, "on client-2:")
		assert.Contains(t, report, "status: running", "what cloud-init is at")
		assert.Regexp(t, `on client-2:(\n.*)*cloud-init`, report, "its journal")
		assert.NotContains(t, report, "on client-1", "a machine that did not fail")
	})
	t.Run("down leaves nothing", func(t *testing.T) {
		require.NoError(t, r.make("down"))
		require.NoError(t, s.LeftNothing(t.Context(), before))
	})
}

// afterFailed returns the output from the report of the failure on.
func afterFailed(t *testing.T, said string) string {
	t.Helper()
	_, report, found := strings.Cut(said, "\nFAILED: ")
	require.True(t, found, "no report of the failure")
	return report
}
