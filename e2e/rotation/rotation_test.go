package rotation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"hashistack/e2e/stack"
)

func TestSum(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var attempts []attempt
	for i := range 10 {
		a := attempt{began: start.Add(time.Duration(i) * time.Second), took: time.Duration(i) * time.Millisecond}
		if i == 3 || i == 5 || i == 9 {
			a.err = errors.New("refused")
		}
		attempts = append(attempts, a)
	}
	f := sum(attempts, start.Add(2*time.Second), start.Add(9*time.Second)) // the last one is not in it
	assert.Equal(t, Figures{
		Probes: 7, Failed: 2, Median: 0.005, Slowest: 0.008, Errors: []string{"refused"}, LastFailed: start.Add(5 * time.Second),
	}, f)
}

func TestProberKeepsWhatProbesFind(t *testing.T) {
	made := make(chan int, 10)
	p := startProber(t.Context(), func(_ context.Context, tick int, record func(string, error)) {
		record("always", nil)
		record("at first", map[int]error{0: errors.New("not yet")}[tick])
		made <- tick
	})
	for range 2 {
		<-made
	}
	p.close()
	all, err := p.between(t.Context(), time.Time{}, time.Now())
	require.NoError(t, err)
	assert.GreaterOrEqual(t, all["always"].Probes, 2)
	assert.Zero(t, all["always"].Failed)
	assert.Equal(t, 1, all["at first"].Failed)
	assert.Equal(t, []string{"at first", "never"}, p.failing(2, []string{"always", "at first", "never"}))
}

func TestJudge(t *testing.T) {
	phase := &Phase{Probes: map[string]Figures{}, Allowed: map[string]Allowance{consulDNS: {2, "a machine is away"}}}
	for _, name := range probeNames {
		phase.Probes[name] = Figures{Probes: 10}
	}
	phase.Probes[consulDNS] = Figures{Probes: 10, Failed: 2}
	phase.judge()
	assert.Empty(t, phase.Problems)

	phase.Probes[consulDNS] = Figures{Probes: 10, Failed: 3}
	phase.Probes[pageHTTP] = Figures{Probes: 10, Failed: 1}
	delete(phase.Probes, nomadAPI)
	phase.judge()
	assert.Len(t, phase.Problems, 3, "%q", phase.Problems)
}

func TestWatchCountsChanges(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(s int, value string) change { return change{start.Add(time.Duration(s) * time.Second), value} }
	w := &watch{changes: map[string][]change{
		"server-1: certificate of consul": {at(0, "a"), at(10, "b"), at(20, "c"), at(90, "d")},
		"server-2: certificate of consul": {at(5, "a"), at(30, "b")},
		"server-1: certificate of vault":  {at(5, "a")},
	}}
	assert.Equal(t, []Changes{
		{Credential: "certificate of consul", Machines: 2, Fewest: 1, Most: 2},
		{Credential: "certificate of vault", Machines: 1},
	}, w.between(start, start.Add(time.Minute)))
}

func TestSettingsKeepTheRestOfTheConfiguration(t *testing.T) {
	s := &stack.Stack{Root: t.TempDir()}
	require.NoError(t, os.Mkdir(s.Path(), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(s.Root, "Pulumi.local.yaml"), []byte("config:\n  a:b: c\nencryptionsalt: salt\n"), 0o600))
	c := settings{lifetimes: short, generations: map[string]int{}}
	c.raise("root", "consulGossip")
	c.raise("root")
	require.NoError(t, c.write(s))
	content, err := os.ReadFile(s.Config)
	require.NoError(t, err)
	var file map[string]any
	require.NoError(t, yaml.Unmarshal(content, &file))
	assert.Equal(t, map[string]any{"encryptionsalt": "salt", "config": map[string]any{
		"a:b":                    "c",
		"hashistack:lifetimes":   map[string]any{"certificate": "1m0s", "login": "1m0s", "token": "1m0s", "tokenMax": "2m0s", "workload": "1m0s"},
		"hashistack:generations": map[string]any{"root": 3, "consulGossip": 2},
	}}, file)
}

func TestChoose(t *testing.T) {
	all, err := Choose(nil, false)
	require.NoError(t, err)
	assert.Len(t, all, len(steps()))
	some, err := Choose([]string{"3", "1"}, false)
	require.NoError(t, err)
	assert.Equal(t, []string{steps()[2].name, steps()[0].name}, []string{some[0].name, some[1].name})
	for _, wrong := range []string{"0", "99", "one"} {
		_, err := Choose([]string{wrong}, false)
		require.ErrorContains(t, err, fmt.Sprintf("got %q", wrong))
	}
}
