package stack

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Phase is a part of bringing the stack up and how long it took.
type Phase struct {
	Name string
	Took time.Duration
}

// Phases collects what it measures.
type Phases []Phase

// Measure runs one phase.
func (p *Phases) Measure(name string, run func() error) error {
	start := time.Now()
	err := run()
	*p = append(*p, Phase{Name: name, Took: time.Since(start)})
	return err
}

// Prepare makes sure that everything `pulumi up` needs is there: packages, tools, the local cloud,
// power for the machines that it has, the stack.
func (s *Stack) Prepare(ctx context.Context, phases *Phases) error {
	rebooted := false
	for _, step := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"packages", func(ctx context.Context) error { return s.run(ctx, filepath.Join(s.Root, "tools", "setup")) }},
		{"tools", s.buildTools},
		{"local cloud", s.StartCloud},
		{"power", func(ctx context.Context) (err error) { rebooted, err = s.powerOn(ctx); return err }},
		{"stack", s.initStack},
		{"unseal", func(ctx context.Context) error {
			if !rebooted {
				return nil
			}
			return s.unseal(ctx)
		}},
	} {
		if err := phases.Measure(step.name, func() error { return step.run(ctx) }); err != nil {
			return err
		}
	}
	return nil
}

// buildTools builds the tools that are missing, and the two that are a part of this repository.
func (s *Stack) buildTools(ctx context.Context) error {
	if err := s.run(ctx, filepath.Join(s.Root, "tools", "build")); err != nil {
		return err
	}
	for name, folder := range map[string]string{"localcloud": "localcloud", "settle": "tools/settle"} {
		cmd, err := s.command(ctx, "go", "build", "-o", filepath.Join(s.Root, ".tools", "bin", name), ".")
		if err != nil {
			return err
		}
		cmd.Dir = filepath.Join(s.Root, folder)
		cmd.Stdout, cmd.Stderr = s.Out, s.Out
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("build %s: %w", name, err)
		}
	}
	return nil
}

// initStack makes the stack in its local backend. A stack that exists is settled: a killed run may have left something.
func (s *Stack) initStack(ctx context.Context) error {
	if err := os.MkdirAll(s.Path("state"), 0o700); err != nil {
		return err
	}
	if !s.exists() {
		return s.run(ctx, "pulumi", "stack", "init", Name, "--non-interactive")
	}
	return s.Settle(ctx)
}
