package rotation

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
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
	Allowed map[string]Allowance `json:"allowed,omitempty"`
	// Elsewhere is how many probes were answered by another server than the one they asked first.
	Elsewhere   int64     `json:"answeredByAnotherServer"`
	Credentials []Changes `json:"credentialChanges"`
	// Notes are figures of this phase alone.
	Notes []string `json:"notes,omitempty"`
	// Problems are what must not happen; empty in a phase that passed.
	Problems []string `json:"problems,omitempty"`
}

// Allowance is a bound on failed probes.
type Allowance struct {
	Failed int    `json:"failed"`
	Why    string `json:"why"`
}

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
		p.Allowed[name] = Allowance{2 * restarts, "when Nomad's leader restarts for a new Consul token, until the others have elected another"}
	}
}

// judge adds a problem for each probe that failed more often than it may, or was never made.
func (p *Phase) judge() {
	for _, name := range probeNames {
		f, allowed := p.Probes[name], p.Allowed[name]
		if f.Probes == 0 {
			p.problem("%s: was never probed", name)
		}
		if f.Failed > allowed.Failed {
			p.problem("%s: %d of %d probes failed, at most %d may: %v", name, f.Failed, f.Probes, allowed.Failed, f.Errors)
		}
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
	fmt.Fprintln(table, "probe\tprobes\tfailed\tmay fail\tmedian s\tslowest s")
	for _, name := range probeNames {
		f := p.Probes[name]
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%.2f\t%.2f\n", name, f.Probes, f.Failed, p.Allowed[name].Failed, float64(f.Median), float64(f.Slowest))
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
