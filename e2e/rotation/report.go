package rotation

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// seconds are written with as many digits as matter.
type seconds float64

// MarshalJSON rounds to milliseconds.
func (s seconds) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, "%.3f", float64(s)), nil }

// Report is what a proof found.
type Report struct {
	At        string            `json:"at"`
	Lifetimes map[string]string `json:"lifetimes"`
	Phases    []*Phase          `json:"phases"`
	// Unproven is what could not be tried here, and why.
	Unproven []string `json:"unproven"`
}

// Phase is one part of a proof.
type Phase struct {
	Name    string             `json:"name"`
	Seconds seconds            `json:"seconds"`
	Probes  map[string]Figures `json:"probes"`
	// Allowed are the probes that may fail in this phase, with the most failures and the reason. All others must not.
	Allowed     map[string]Allowance `json:"allowed,omitempty"`
	Credentials []Changes            `json:"credentialChanges"`
	// Notes are figures of this phase alone.
	Notes []string `json:"notes,omitempty"`
	// Problems are what must not happen; empty in a phase that passed.
	Problems []string `json:"problems,omitempty"`
}

// Allowance is a bound on failed probes.
type Allowance struct {
	Failed int `json:"failed"`
	// Outage is the longest time without a success. What is nowhere allowed to fail has none.
	Outage seconds `json:"outageSeconds"`
	// Server is how many may fail of those that one server was asked, for a probe that asks another one then.
	Server int    `json:"ofOneServer,omitempty"`
	Why    string `json:"why"`
}

// tooSlow is a success for which a user would not have waited. Probes with an allowance may take up to their time-out: they ask
// another server when the first does not answer.
const tooSlow = 6 * time.Second

// note adds a figure to the phase.
func (p *Phase) note(format string, args ...any) {
	p.Notes = append(p.Notes, fmt.Sprintf(format, args...))
}

func (p *Phase) problem(format string, args ...any) {
	p.Problems = append(p.Problems, fmt.Sprintf(format, args...))
}

// allowElections lets some requests to Nomad fail, and some to Vault, which has Nomad issue tokens. Each Nomad server
// restarts once in tokenMax, for a new Consul token. If it is the leader, the others refuse what they would forward to
// it until they have elected another, which takes a second or two.
func (p *Phase) allowElections(took time.Duration) {
	restarts := 1 + int(took/short.TokenMax)
	for _, name := range []string{nomadAPI, engines} {
		if _, special := p.Allowed[name]; special {
			continue
		}
		if p.Allowed == nil {
			p.Allowed = map[string]Allowance{}
		}
		p.Allowed[name] = Allowance{2 * restarts, 8, 4 * restarts, "when Nomad's leader restarts for a new Consul token, until the others have elected another"}
	}
}

// judge adds a problem for each probe that failed more often, or for longer, than it may, was too slow, or was never made. Of a probe
// that has several servers to ask, each server is judged as well.
func (p *Phase) judge(servers []string) {
	for _, name := range probeNames {
		allowed, special := p.Allowed[name]
		p.judgeOne(name, allowed, special)
		if !slices.Contains(ofServers, name) {
			continue
		}
		for _, server := range servers {
			p.judgeOne(atServer(name, server), Allowance{Failed: allowed.Server, Outage: p.Seconds}, special)
		}
	}
}

func (p *Phase) judgeOne(name string, allowed Allowance, special bool) {
	f := p.Probes[name]
	switch {
	case f.Probes == 0:
		p.problem("%s: was never probed", name)
	case f.Failed > allowed.Failed:
		p.problem("%s: %d of %d probes failed, at most %d may: %v", name, f.Failed, f.Probes, allowed.Failed, f.Errors)
	case f.Failed > 0 && f.Outage > allowed.Outage:
		p.problem("%s: no success for %.0f s, at most %.0f s may go by: %v", name, float64(f.Outage), float64(allowed.Outage), f.Errors)
	case !special && f.Slowest > seconds(tooSlow.Seconds()):
		p.problem("%s: one took %.1f s, at most %s may be", name, float64(f.Slowest), tooSlow)
	}
}

// print writes the phase as a table.
func (p *Phase) print(w io.Writer) {
	verdict := "passed"
	if len(p.Problems) > 0 {
		verdict = "FAILED"
	}
	fmt.Fprintf(w, "\n=== %s: %s (%.0f s)\n", p.Name, verdict, float64(p.Seconds))
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "probe\tprobes\tfailed\tmay fail\toutage s\tmay be\tmedian s\tslowest s\tfailed of each server")
	for _, name := range probeNames {
		f, allowed := p.Probes[name], p.Allowed[name]
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%.0f\t%.0f\t%.2f\t%.2f\t%s\n", name, f.Probes, f.Failed, allowed.Failed,
			float64(f.Outage), float64(allowed.Outage), float64(f.Median), float64(f.Slowest), p.ofEach(name))
	}
	fmt.Fprintln(table, "\ncredential\tmachines\tchanges, fewest\tmost\t\t")
	for _, c := range p.Credentials {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t\t\n", c.Credential, c.Machines, c.Fewest, c.Most)
	}
	_ = table.Flush() // nothing can be done about a terminal that is gone
	for _, name := range slices.Sorted(maps.Keys(p.Allowed)) {
		fmt.Fprintf(w, "may fail: %s: %s\n", name, p.Allowed[name].Why)
	}
	for _, note := range p.Notes {
		fmt.Fprintln(w, "note:", note)
	}
	for _, problem := range p.Problems {
		fmt.Fprintln(w, "PROBLEM:", problem)
	}
}

// ofEach says how many probes of each server failed.
func (p *Phase) ofEach(name string) string {
	var each []string
	for _, probed := range slices.Sorted(maps.Keys(p.Probes)) {
		if server, is := strings.CutPrefix(probed, atServer(name, "")); is {
			each = append(each, fmt.Sprintf("%s %d/%d", server, p.Probes[probed].Failed, p.Probes[probed].Probes))
		}
	}
	return strings.Join(each, ", ")
}

// write keeps the report as JSON in a folder.
func (r *Report) write(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // figures for everyone
		return err
	}
	r.At = time.Now().UTC().Format(time.RFC3339)
	content, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "rotation.json"), content, 0o644) //nolint:gosec // figures for everyone
}
