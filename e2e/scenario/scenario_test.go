//go:build e2e

// Package scenario tries the whole platform the way a person would, from an empty cloud to an empty cloud.
package scenario

import (
	"bytes"
	"flag"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/e2e/jobs"
	"hashistack/e2e/rotation"
	"hashistack/e2e/security"
	"hashistack/e2e/stack"
)

var (
	reuse = flag.Bool("reuse", false, "try the stack that is up, and leave it up")
	keep  = flag.Bool("keep", false, "leave the stack up when something failed")
)

// run is what the steps of the scenario share.
type run struct {
	stack   *stack.Stack
	outputs *stack.Outputs
	sample  *jobs.Sample
	said    bytes.Buffer // output of everything that was run
}

// TestScenario goes step by step. If the stack does not come up, the test ends, because there is nothing to try. Every
// later step runs even if another one fails.
func TestScenario(t *testing.T) {
	s, err := stack.Open()
	require.NoError(t, err)
	r := &run{stack: s}
	s.Out = io.MultiWriter(os.Stderr, &r.said)

	before, err := s.TakeInventory(t.Context())
	require.NoError(t, err)
	if !*reuse {
		require.False(t, s.IsUp(), "a local stack is up: run `make down` first, or try that one with -reuse")
		t.Cleanup(func() {
			if t.Failed() && *keep {
				t.Log("the stack is left up; `make down` removes it")
				return
			}
			if s.IsUp() {
				assert.NoError(t, r.make("down"))
			}
		})
		r.firstPreview(t)
		require.NoError(t, r.make("up"), "make up")
	}
	r.outputs, err = s.Outputs(t.Context())
	require.NoError(t, err)
	r.sample, err = jobs.New(s, r.outputs)
	require.NoError(t, err)
	// The denied job takes minutes to say why it does not run, so it starts early.
	require.NoError(t, r.sample.RunDenied(t.Context()))

	t.Run("a second update changes nothing", r.noChange)
	t.Run("a preview needs no road to the machines", r.previewAlone)
	t.Run("every cluster has its quorum and a leader", r.clusters)
	t.Run("the sample job shows its secret", r.sampleJob)
	t.Run("every task looks up names", func(t *testing.T) { require.NoError(t, r.sample.Names(t.Context())) })
	t.Run("a request without a token is refused", r.anonymous)
	t.Run("a client that does not trust the root certificate cannot connect", r.untrusting)
	t.Run("a wrong server name is refused", r.wrongName)
	t.Run("the firewall lets nothing else in", r.firewall)
	t.Run("no rendered file turns verification off", r.verification)
	t.Run("no secret is in plain text", r.secrets)
	t.Run("the denied job says why", r.denied)
	t.Run("jobs and machines get no further than they should", r.security)
	t.Run("a sealed Vault sends machines on to the next", r.sealed)
	t.Run("an operator's address changes", r.anotherAddress)
	t.Run("a stack does not become another one", r.anotherStack)
	t.Run("a preview refuses what the cloud does not have", r.notOffered)
	t.Run("machines of another type are replaced", r.anotherType)
	t.Run("three servers can become five", r.moreServers)
	if !*reuse {
		// Last: from here on agents restart every other minute for a new token.
		t.Run("everything is issued anew while it is in use", r.renewals)
	}

	if !*reuse && (!t.Failed() || !*keep) {
		t.Run("down leaves nothing", func(t *testing.T) {
			began := time.Now()
			require.NoError(t, r.make("down"))
			t.Logf("down took %.0f s", time.Since(began).Seconds())
			require.NoError(t, s.LeftNothing(t.Context(), before))
		})
	}
}

// make runs a target of the Makefile, as a person would.
func (r *run) make(target string) error {
	cmd := exec.Command("make", target)
	cmd.Dir, cmd.Stdout, cmd.Stderr = r.stack.Root, r.stack.Out, r.stack.Out
	return cmd.Run()
}

func (r *run) noChange(t *testing.T) {
	began := time.Now()
	events, err := r.stack.Operate(t.Context(), stack.Operation{Args: []string{"up", "--yes", "--skip-preview"}})
	require.NoError(t, err)
	t.Logf("an update without changes took %.0f s", time.Since(began).Seconds())
	changes, err := stack.Changes(events)
	require.NoError(t, err)
	same := changes["same"]
	assert.Equal(t, map[string]int{"same": same}, changes)
	assert.Greater(t, same, 100, "the platform has more resources than that")
	_, err = r.stack.Operate(t.Context(), stack.Operation{Args: []string{"preview", "--refresh", "--expect-no-changes"}})
	require.NoError(t, err, "pulumi preview --refresh --expect-no-changes")
}

func (r *run) clusters(t *testing.T) {
	assert.Len(t, r.outputs.Members("server"), 3)
	assert.Len(t, r.outputs.Members("client"), 2)
	require.NoError(t, r.outputs.Healthy(t.Context()))
}

func (r *run) sampleJob(t *testing.T) {
	// The job has run since `make up`. It must also run again with another secret.
	require.NoError(t, r.sample.Run(t.Context()))
	page, err := r.sample.Page(t.Context())
	require.NoError(t, err)
	assert.Equal(t, r.sample.Greeting, page)

	consul, err := r.outputs.Consul()
	require.NoError(t, err)
	entries, _, err := consul.Health().Service("page", "", true, nil)
	require.NoError(t, err)
	assert.Len(t, entries, 2, "instances of page with passing checks")
	for _, entry := range entries {
		assert.Contains(t, entry.Service.Address, "10.0.2.", "instances are reached over the private network")
	}
}

// renewals is the brief form of `make prove-rotation`.
func (r *run) renewals(t *testing.T) {
	steps, err := rotation.Choose(nil, true)
	require.NoError(t, err)
	require.NoError(t, rotation.ShortenNow(t.Context(), r.stack, r.outputs))
	require.NoError(t, rotation.ProveOn(t.Context(), r.stack, steps, t.TempDir()))
}

func (r *run) security(t *testing.T) {
	rows, err := security.Try(t.Context(), r.stack, r.outputs, security.Some)
	require.NoError(t, err)
	require.NoError(t, security.Report(r.stack.Out, rows))
}

func (r *run) denied(t *testing.T) {
	reason, err := r.sample.Denied(t.Context())
	require.NoError(t, err)
	assert.Contains(t, reason, "secret/data/default/page/config")

	// Nomad calls the secret missing. That Vault refused it is in the audit log of the server that was active.
	var refused []string
	for _, server := range []string{"server-1", "server-2", "server-3"} {
		lines, err := r.stack.OnMachine(t.Context(), server, "bash", "-c",
			`grep -F '"path":"secret/data/default/page/config"' /var/log/vault/audit.log | grep -F 'permission denied' || true`)
		require.NoError(t, err)
		refused = append(refused, strings.Fields(string(lines))...)
	}
	assert.NotEmpty(t, refused, "reads that Vault refused, by its audit log")
}
