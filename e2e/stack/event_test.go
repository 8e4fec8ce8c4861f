package stack

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFollowReadsALogWhileItGrows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.jsonl")
	ended := make(chan struct{})
	seen := make(chan Event)
	all := make(chan []Event, 1)
	go func() { all <- follow(path, ended, func(e Event) { seen <- e }) }()

	log, err := os.Create(path)
	require.NoError(t, err)
	write := func(text string) {
		_, err := log.WriteString(text)
		require.NoError(t, err)
	}
	write(`{"resourcePreEvent":{"metadata":{"op":"create","urn":"a::b","type":"t"}}}` + "\n")
	first := <-seen
	require.NotNil(t, first.Begin)
	assert.Equal(t, "create", first.Begin.Metadata.Op)
	write(`{"summaryEvent":{"resource`) // half a line, as a reader may find it
	write(`Changes":{"same":3}}}` + "\n")
	second := <-seen
	assert.Equal(t, map[string]int{"same": 3}, second.Summary.ResourceChanges)
	write(`{"half`) // what a killed pulumi leaves
	close(ended)
	assert.Len(t, <-all, 2)
}

func TestFollowWithoutALog(t *testing.T) {
	ended := make(chan struct{})
	close(ended)
	assert.Empty(t, follow(filepath.Join(t.TempDir(), "none"), ended, nil))
}

func TestFailuresNameTheMachine(t *testing.T) {
	const urn = "urn:pulumi:local::hashistack::hashistack:platform:Vault$hashistack:index:VaultUnseal::server-2"
	failures := failuresOf([]Event{
		{Diagnostic: &Diagnostic{URN: urn, Severity: "info", Message: "waiting"}},
		{Diagnostic: &Diagnostic{URN: urn, Severity: "error", Message: "<{%reset%}>sealed<{%reset%}>\n"}},
		{Diagnostic: &Diagnostic{URN: "urn:pulumi:local::hashistack::pulumi:pulumi:Stack::hashistack-local", Severity: "error", Message: "update failed"}},
	})
	assert.Equal(t, []failure{{"hashistack:index:VaultUnseal", "server-2", "sealed"}}, failures)

	machines := []string{"client-1", "server-1", "server-2"}
	assert.Equal(t, []string{"server-2"}, concerned(machines, failures[0]))
	assert.Equal(t, []string{"server-1"}, concerned(machines, failure{name: "vault", message: "server-1 does not answer"}))
	assert.Equal(t, machines, concerned(machines, failure{name: "consul", message: "no leader"}))
}

func TestQuote(t *testing.T) {
	assert.Equal(t, `'it'\''s $HOME'`, quote("it's $HOME"))
}

func TestChangesAreThoseOfTheSummary(t *testing.T) {
	changes, err := Changes([]Event{{Begin: &StepEvent{}}, {Summary: &Summary{ResourceChanges: map[string]int{"same": 3}}}})
	require.NoError(t, err)
	assert.Equal(t, map[string]int{"same": 3}, changes)

	_, err = Changes([]Event{{Begin: &StepEvent{}}})
	require.EqualError(t, err, "none of pulumi's 1 events is a summary")
}
