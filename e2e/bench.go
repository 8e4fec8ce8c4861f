package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hashistack/e2e/bench"
	"hashistack/e2e/jobs"
	"hashistack/e2e/stack"
)

// measured is one operation of the benchmark.
type measured struct {
	Name    string         `json:"name"`
	Seconds bench.Seconds  `json:"seconds"`
	Phases  []phase        `json:"phases,omitempty"`
	Calls   []stack.Calls  `json:"apiCalls"`
	Changes map[string]int `json:"changes,omitempty"`
	// CriticalPath is the chain of resources that decided how long the operation took.
	CriticalPath []bench.Bar `json:"criticalPath,omitempty"`
	Resources    []bench.Bar `json:"resources,omitempty"`
}

type phase struct {
	Name    string        `json:"name"`
	Seconds bench.Seconds `json:"seconds"`
}

func benchCommand() *cobra.Command {
	var clients []int
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure up, no change and destroy",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := stack.Open()
			if err != nil {
				return err
			}
			return runBench(cmd.Context(), s, clients)
		},
	}
	cmd.Flags().IntSliceVar(&clients, "clients", nil, "with how many clients, one stack after the other, in place of the configuration's")
	return cmd
}

// runBench measures a stack of each size.
func runBench(ctx context.Context, s *stack.Stack, sizes []int) error {
	out := filepath.Join(s.Root, ".out", "bench")
	if len(sizes) == 0 {
		_, err := benchOne(ctx, s, out, nil)
		return err
	}
	var table strings.Builder
	fmt.Fprintf(&table, "\n%8s %9s %9s %10s %12s %8s\n", "clients", "up", "no change", "destroy", "API calls of up, a machine", "refused")
	for _, clients := range sizes {
		var machines int
		configure := func(config map[string]any) error {
			pool, err := stack.Pool(config, "client")
			if err != nil {
				return err
			}
			pool["count"] = clients
			pools, _ := config["hashistack:pools"].([]any)
			for _, pool := range pools {
				count, _ := pool.(map[string]any)["count"].(int)
				machines += count
			}
			return nil
		}
		all, err := benchOne(ctx, s, filepath.Join(out, fmt.Sprintf("clients-%d", clients)), configure)
		if err != nil {
			return fmt.Errorf("with %d clients: %w", clients, err)
		}
		calls, _ := all[0].calls()
		refused := 0
		for _, m := range all {
			_, limited := m.calls()
			refused += limited
		}
		fmt.Fprintf(&table, "%8d %7.0f s %7.0f s %8.0f s %12.1f %22d\n", clients, all[0].Seconds, all[1].Seconds, all[2].Seconds,
			float64(calls)/float64(machines), refused)
	}
	fmt.Fprintln(s.Out, table.String())
	return nil
}

// calls are those of the cloud's API: all, and how many the rate limit refused.
func (m measured) calls() (all, limited int) {
	for _, c := range m.Calls {
		all += c.Calls
		limited += c.Limited
	}
	return all, limited
}

// benchOne measures up, an up that changes nothing, and destroy, from an empty cloud to an empty cloud. configure changes the
// configuration; it may be nil.
func benchOne(ctx context.Context, s *stack.Stack, out string, configure func(map[string]any) error) ([]measured, error) {
	if err := s.Down(ctx); err != nil {
		return nil, err
	}
	if configure != nil {
		if err := s.Configure(configure); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(out, 0o755); err != nil { //nolint:gosec // figures for everyone
		return nil, err
	}
	var prepared stack.Phases
	if err := s.Prepare(ctx, &prepared); err != nil {
		return nil, err
	}
	var all []measured
	for _, run := range []struct {
		name string
		args []string
		then func(ctx context.Context, phases *stack.Phases) error
	}{
		{"up", []string{"up", "--yes", "--skip-preview"}, func(ctx context.Context, phases *stack.Phases) error { return sampleJob(ctx, s, phases) }},
		{"no change", []string{"up", "--yes", "--skip-preview", "--expect-no-changes"}, nil},
		{"destroy", []string{"destroy", "--yes", "--skip-preview"}, nil},
	} {
		m, err := measure(ctx, s, run.name, run.args, run.then)
		if err != nil {
			return nil, fmt.Errorf("benchmark %s: %w", run.name, err)
		}
		if len(m.Resources) > 0 {
			if err := draw(filepath.Join(out, run.args[0]+".svg"), m); err != nil {
				return nil, err
			}
		}
		all = append(all, m)
	}
	report := struct {
		At      string     `json:"at"`
		Prepare []phase    `json:"prepare"`
		Runs    []measured `json:"runs"`
	}{time.Now().UTC().Format(time.RFC3339), named(prepared), all}
	content, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(out, "bench.json"), content, 0o644); err != nil { //nolint:gosec // figures for everyone
		return nil, err
	}
	printBench(s, all)
	fmt.Fprintf(s.Out, "\nfigures and pictures: %s\n", out)
	return all, s.Down(ctx)
}

func measure(ctx context.Context, s *stack.Stack, name string, args []string, then func(context.Context, *stack.Phases) error) (measured, error) {
	if err := stack.ResetCalls(ctx); err != nil {
		return measured{}, err
	}
	var phases stack.Phases
	began := time.Now()
	var events []stack.Event
	err := phases.Measure("pulumi "+args[0], func() (err error) {
		events, err = s.Operate(ctx, stack.Operation{Args: args})
		return err
	})
	if err != nil {
		return measured{}, err
	}
	m := measured{Name: name, Resources: bench.Timeline(began, events)}
	if m.Changes, err = stack.Changes(events); err != nil {
		return measured{}, err
	}
	if args[0] == "up" && len(m.Resources) > 0 {
		dependencies, err := s.Dependencies(ctx)
		if err != nil {
			return measured{}, err
		}
		m.CriticalPath = bench.CriticalPath(m.Resources, dependencies)
	}
	if then != nil {
		if err := then(ctx, &phases); err != nil {
			return measured{}, err
		}
	}
	m.Seconds, m.Phases = bench.Seconds(time.Since(began).Seconds()), named(phases)
	m.Calls, err = stack.CallCounts(ctx)
	return m, err
}

func sampleJob(ctx context.Context, s *stack.Stack, phases *stack.Phases) error {
	return phases.Measure("sample job", func() error {
		outputs, err := s.Outputs(ctx)
		if err != nil {
			return err
		}
		sample, err := jobs.New(s, outputs)
		if err != nil {
			return err
		}
		return sample.Run(ctx)
	})
}

func named(phases stack.Phases) []phase {
	all := make([]phase, 0, len(phases))
	for _, p := range phases {
		all = append(all, phase{p.Name, bench.Seconds(p.Took.Seconds())})
	}
	return all
}

func draw(path string, m measured) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	bars := m.Resources
	at := bench.Seconds(0)
	for _, p := range m.Phases {
		bars = append(bars, bench.Bar{Kind: "phase", Name: p.Name, Start: at, End: at + p.Seconds})
		at += p.Seconds
	}
	picture := bench.Picture{
		Title: fmt.Sprintf("%s: %.0f s", m.Name, m.Seconds), Bars: bars, Critical: m.CriticalPath, Shortest: 0.1,
	}
	if err := picture.Draw(file); err != nil {
		_ = file.Close() // the first error counts
		return fmt.Errorf("draw %s: %w", path, err)
	}
	return file.Close()
}

func printBench(s *stack.Stack, all []measured) {
	p := func(format string, args ...any) { fmt.Fprintf(s.Out, format+"\n", args...) }
	p("\n%-12s %9s %10s", "", "seconds", "API calls")
	for _, m := range all {
		calls, _ := m.calls()
		p("%-12s %9.1f %10d", m.Name, m.Seconds, calls)
		for _, phase := range m.Phases {
			p("  %-10s %9.1f", phase.Name, phase.Seconds)
		}
	}
	p("\nThe critical path of up (begin, took, what):")
	for _, b := range all[0].CriticalPath {
		if b.End-b.Start >= 0.05 {
			p("  %6.1f %6.1f  %s %s", b.Start, b.End-b.Start, b.Kind, b.Name)
		}
	}
}
