package rotation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"hashistack/e2e/stack"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// made are attempts, one a second, of which those at some seconds failed.
func made(count int, failed ...int) (attempts []attempt) {
	for i := range count {
		a := attempt{began: start.Add(time.Duration(i) * time.Second), took: time.Duration(i) * time.Millisecond}
		if slices.Contains(failed, i) {
			a.err = errors.New("refused")
		}
		attempts = append(attempts, a)
	}
	return attempts
}

func TestSum(t *testing.T) {
	f := sum(made(10, 3, 5, 9), start.Add(2*time.Second), start.Add(9*time.Second)) // the last one is not in it
	assert.Equal(t, Figures{
		Probes: 7, Failed: 2, Median: 0.005, Slowest: 0.008, Outage: 1, Errors: []string{"refused"}, LastFailed: start.Add(5 * time.Second),
	}, f)
}

func TestOutage(t *testing.T) {
	until := start.Add(time.Hour)
	assert.InDelta(t, 3, float64(sum(made(10, 2, 3, 4), start, until).Outage), 0.01, "until the next one that succeeded")
	assert.InDelta(t, 2, float64(sum(made(10, 8, 9), start, until).Outage), 1.01, "until the end")
	assert.Zero(t, sum(made(10), start, until).Outage)
	// Probes end in another order than they began in: a late failure of an early one is no outage of its own.
	late := append(made(10)[1:], made(1, 0)...)
	assert.InDelta(t, 1, float64(sum(late, start, until).Outage), 0.01)
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

// servers are those of a phase in tests.
var servers = []string{"server-1", "server-2"}

// good is a phase in which every probe succeeded, with one server that may be away and an allocation that may not.
func good() *Phase {
	phase := &Phase{Seconds: 600, Probes: map[string]Figures{}, Allowed: map[string]Allowance{consulDNS: {Failed: 20, Outage: 10}}}
	for _, name := range probeNames {
		phase.Probes[name] = Figures{Probes: 600, Slowest: 1}
	}
	for _, name := range ofServers {
		for _, server := range servers {
			phase.Probes[atServer(name, server)] = Figures{Probes: 200, Slowest: 1}
		}
	}
	return phase
}

func TestJudge(t *testing.T) {
	phase := good()
	phase.Probes[consulDNS] = Figures{Probes: 600, Failed: 20, Outage: 10, Slowest: 9}
	phase.judge(servers)
	assert.Empty(t, phase.Problems, "as much as it may")

	for name, c := range map[string]struct {
		probe   string
		figures Figures
		want    string
	}{
		"failed more often":                   {consulDNS, Figures{Probes: 600, Failed: 21, Outage: 1}, "21 of 600 probes failed, at most 20 may"},
		"one outage hidden in the total":      {consulDNS, Figures{Probes: 600, Failed: 12, Outage: 12}, "no success for 12 s, at most 10 s"},
		"failed without an allowance":         {pageHTTP, Figures{Probes: 600, Failed: 1, Outage: 1}, "1 of 600 probes failed, at most 0 may"},
		"no allocation answered at a tick":    {pageAny, Figures{Probes: 600, Failed: 1, Outage: 1}, "1 of 600 probes failed, at most 0 may"},
		"a credential was missing":            {allThere, Figures{Probes: 600, Failed: 1, Outage: 1}, "1 of 600 probes failed, at most 0 may"},
		"a user waited for 9.9 s":             {vaultAPI, Figures{Probes: 600, Slowest: 9.9}, "one took 9.9 s, at most 6s may be"},
		"never made":                          {nomadAPI, Figures{}, "was never probed"},
		"a server was sealed the whole phase": {atServer(vaultAPI, "server-2"), Figures{Probes: 200, Failed: 200, Outage: 600}, "200 of 200 probes failed, at most 0 may"},
		"a server was never asked":            {atServer(consulAPI, "server-1"), Figures{}, "was never probed"},
	} {
		t.Run(name, func(t *testing.T) {
			phase := good()
			phase.Probes[c.probe] = c.figures
			phase.judge(servers)
			require.Len(t, phase.Problems, 1, "%q", phase.Problems)
			assert.Contains(t, phase.Problems[0], c.probe+": "+c.want)
		})
	}
}

func TestAnotherServerIsAskedAndTheFirstIsNotForgotten(t *testing.T) {
	u := &users{servers: []string{"server-1", "server-2"}, outputs: &stack.Outputs{Machines: map[string]string{"server-1": "one", "server-2": "two"}}}
	said := map[string]error{}
	probe := u.anyServer("ask", func(_ context.Context, _ int, address, next string) error {
		if address == "one" {
			assert.Equal(t, "two", next)
			return errors.New("sealed")
		}
		return nil
	})
	probe(t.Context(), 0, func(name string, err error) { said[name] = err })
	assert.Len(t, said, 3)
	require.NoError(t, said["ask"], "a user is served")
	require.NoError(t, said["ask, at server-2"])
	require.EqualError(t, said["ask, at server-1"], "sealed")
}

func TestFindingsOfAMachine(t *testing.T) {
	find := func(out string, own bool) map[string]error {
		said := map[string]error{}
		recordFindings("client-1", out, own, func(name string, err error) { said[name] = err })
		return said
	}
	said := find("agent ok\ndns failed: no record\npage ok\npage failed: gone\n", true)
	require.NoError(t, said[consulAgent])
	require.EqualError(t, said[consulDNS], "client-1: failed: no record")
	require.NoError(t, said[pageAny], "one answers")
	require.Error(t, find("page failed: gone\npage failed: gone\n", true)[pageAny], "none answers")
	require.Error(t, find("agent ok\n", true)[pageAny], "none is asked")
	assert.NotContains(t, find("agent ok\npage ok\n", false), consulAgent, "it was asked in the place of another")
}

func TestWatchMissesNothing(t *testing.T) {
	w := newWatch(nil, []string{"server-1", "client-1"}, []string{"server-1"})
	all := func(names []string) (out string) {
		for _, name := range names {
			out += name + " 1234\n"
		}
		return out
	}
	require.NoError(t, w.note("client-1", all(ofEvery), start))
	require.NoError(t, w.note("server-1", all(slices.Concat(ofEvery, ofServer)), start))
	require.ErrorContains(t, w.note("server-1", all(ofEvery), start), `got ["Consul token agent"`, "a server without Vault's certificate")
	require.Error(t, w.note("client-1", all(ofEvery[1:]), start))
	require.Error(t, w.note("client-1", all(append(ofEvery, "certificate of vault")), start), "what it should not have")
}

func TestWatchCountsChanges(t *testing.T) {
	at := func(s int, value string) change { return change{start.Add(time.Duration(s) * time.Second), value} }
	w := newWatch(nil, []string{"server-1", "client-1"}, []string{"server-1"})
	w.changes = map[string][]change{
		"server-1: certificate of consul": {at(0, "a"), at(10, "b"), at(20, "c"), at(90, "d")},
		"client-1: certificate of consul": {at(5, "a"), at(30, "b")},
		"server-1: certificate of vault":  {at(5, "a")},
	}
	changes := w.between(start, start.Add(time.Minute))
	assert.Len(t, changes, len(ofEvery)+len(ofServer), "also those that were never seen")
	assert.Contains(t, changes, Changes{Credential: "certificate of consul", Machines: 2, Fewest: 1, Most: 2})
	assert.Contains(t, changes, Changes{Credential: "certificate of vault", Machines: 1})
	assert.Contains(t, changes, Changes{Credential: "Vault token", Machines: 2})
}

func TestRefusalsInAJournal(t *testing.T) {
	const planted = "x509: planted 1234"
	found, err := refusals("control: x509: planted before\nconsul: all is well\nnomad: remote error: tls: bad certificate\ncontrol: "+planted+"\n", planted)
	require.NoError(t, err)
	assert.Equal(t, []string{"nomad: remote error: tls: bad certificate"}, found)
	_, err = refusals("consul: all is well\n", planted)
	require.ErrorContains(t, err, "planted", "a journal that shows less than was written")
	_, err = refusals("", planted)
	require.Error(t, err, "an empty one")
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
