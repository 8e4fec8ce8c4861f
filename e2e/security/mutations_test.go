package security

import (
	"bytes"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCompare(t *testing.T) {
	all := []mutation{{what: "the door is open", red: "^task: enter"}}
	row := func(what string, well bool) Row {
		return Row{Attempt: Attempt{From: "task", What: what}, Seen: "seen", Well: well}
	}

	var out bytes.Buffer
	require.NoError(t, compare(&out, all, []Row{row("enter", false), row("leave", true)}))
	assert.Contains(t, out.String(), "1 red  the door is open")

	for want, rows := range map[string][]Row{
		"not red, although the door is open: task: enter by the back": {row("enter", false), row("enter by the back", true)},
		"red, though nothing of it was broken: task: leave: seen":     {row("enter", false), row("leave", false)},
		"nothing turned red, although the door is open":               {row("leave", true)},
	} {
		assert.ErrorContains(t, compare(&out, all, rows), want)
	}
}

func TestMutationsNameRows(t *testing.T) {
	for _, m := range mutations() {
		_, err := regexp.Compile(m.red)
		require.NoError(t, err, m.what)
	}
}
