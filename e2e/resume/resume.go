// Package resume proves that a stack comes up at whatever moment its `pulumi up` was killed. It kills an update at a
// chosen moment, runs the next one, and checks that the result is as if nothing had happened.
package resume

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"hashistack/e2e/jobs"
	"hashistack/e2e/stack"
	"hashistack/internal/poll"
)

const (
	// tries is how often a moment is tried to be hit. Pulumi may save its state between two looks at it.
	tries = 3
	// patience bounds the wait for something to exist, the boot of the machines included.
	patience = 5 * time.Minute
	// slice is how long pulumi may run between two looks: long enough to send a request, too short to also get the
	// answer and save it.
	slice = 4 * time.Millisecond
	// work is how long its plugins, which are not stopped, then have to carry out the request.
	work = 400 * time.Millisecond
)

// Prove runs the proof for one moment, from an empty cloud to an empty cloud.
func Prove(ctx context.Context, s *stack.Stack, m Moment) error {
	if err := s.Down(ctx); err != nil {
		return err
	}
	before, err := s.TakeInventory(ctx)
	if err != nil {
		return err
	}
	if err := hit(ctx, s, m); err != nil {
		return err
	}
	fmt.Fprintln(s.Out, "--- killed; the next update")
	if err := s.Settle(ctx); err != nil {
		return fmt.Errorf("settle: %w", err)
	}
	if err := resume(ctx, s, m); err != nil {
		return err
	}
	fmt.Fprintln(s.Out, "--- is all as it should be?")
	if err := healthy(ctx, s); err != nil {
		return err
	}
	if err := s.Down(ctx); err != nil {
		return err
	}
	return s.LeftNothing(ctx, before)
}

// hit kills an update at the moment. The state that is left must show that it was the moment; otherwise what follows proves
// nothing, and it is tried again from an empty cloud.
func hit(ctx context.Context, s *stack.Stack, m Moment) error {
	var missed error
	for try := range tries {
		if try > 0 {
			fmt.Fprintf(s.Out, "--- missed the moment (%v); trying it again\n", missed)
			if err := s.Down(ctx); err != nil {
				return err
			}
		}
		var phases stack.Phases
		if err := s.Prepare(ctx, &phases); err != nil {
			return err
		}
		missed = s.Interrupt(ctx, m.near, func(pulumi *os.Process) error { return stopAndKill(ctx, s, m, pulumi) })
		if ctx.Err() != nil {
			return errors.Join(ctx.Err(), missed)
		}
		if missed != nil {
			continue
		}
		state, err := s.State(ctx, false)
		if err != nil {
			return err
		}
		if missed = m.missed(state); missed == nil {
			return nil
		}
	}
	return fmt.Errorf("the moment was missed %d times, so nothing is proved: %w", tries, missed)
}

// stopAndKill stops pulumi, and kills it when something that it has asked for exists but pulumi does not know it yet, or
// when its state is that of the moment. Until then it lets pulumi go on for a slice of time after each look.
func stopAndKill(ctx context.Context, s *stack.Stack, m Moment, process *os.Process) error {
	err := process.Signal(syscall.SIGSTOP)
	if err != nil {
		return err
	}
	seen, err := m.look(ctx, s)
	if err != nil {
		return errors.Join(err, process.Kill())
	}
	deadline := time.Now().Add(patience)
	for {
		if err = seen(ctx); err == nil || time.Now().After(deadline) || ctx.Err() != nil {
			return errors.Join(err, process.Kill())
		}
		if err := process.Signal(syscall.SIGCONT); err != nil {
			return err
		}
		time.Sleep(slice) // its share of time, not a wait for anything
		if err := process.Signal(syscall.SIGSTOP); err != nil {
			return err
		}
	}
}

// look prepares the look that tells whether pulumi is to be killed.
func (m Moment) look(ctx context.Context, s *stack.Stack) (look, error) {
	if m.Until == nil { // pulumi alone saves its state, and it is stopped: one look tells
		saved := false
		return func(context.Context) error {
			state, err := s.SavedState()
			if err != nil {
				return err
			}
			if err := m.missed(state); err != nil || saved || m.OneOfSeveral {
				return err
			}
			saved = true // first pulumi saves that it creates something, then it sends the request: that takes another slice
			return errors.New("the request may not be sent yet")
		}, nil
	}
	exists, err := m.Until(ctx, s)
	return func(ctx context.Context) error { return poll.Until(ctx, work, m.What, exists) }, err
}

// section finds the section of the runbook that an error names.
var section = regexp.MustCompile(`RUNBOOK\.md, "([^"]+)"`)

// remedy is the command in a section of the runbook.
func remedy(s *stack.Stack, section string) (string, error) {
	runbook, err := os.ReadFile(filepath.Join(s.Root, "RUNBOOK.md"))
	if err != nil {
		return "", err
	}
	_, text, _ := strings.Cut(string(runbook), "\n### \""+section+"\"\n")
	text, _, _ = strings.Cut(text, "\n#")
	_, text, _ = strings.Cut(text, "```\n")
	command, _, found := strings.Cut(text, "\n```")
	if !found {
		return "", fmt.Errorf("RUNBOOK.md has no section %q with a command", section)
	}
	return command, nil
}

// resume runs the update again. Where the update must refuse, it runs the command of the runbook's section that the error names.
func resume(ctx context.Context, s *stack.Stack, m Moment) error {
	var said strings.Builder
	_, err := s.Operate(ctx, stack.Operation{Args: []string{"up", "--yes", "--skip-preview"}, Output: io.MultiWriter(s.Out, &said)})
	if !m.Remedy {
		return err
	}
	if err == nil {
		return errors.New("the update went through, although Vault's keys were lost")
	}
	named := section.FindStringSubmatch(said.String())
	if named == nil {
		return fmt.Errorf("the update's error names no section of the runbook: %w", err)
	}
	command, err := remedy(s, named[1])
	if err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "--- the remedy that the error names: %s\n", command)
	if err := s.Settle(ctx); err != nil {
		return fmt.Errorf("settle: %w", err)
	}
	args := strings.Fields(strings.NewReplacer("'", "", `"`, "").Replace(command))[1:]
	for _, flag := range []string{"--yes", "--skip-preview"} {
		if !slices.Contains(args, flag) {
			args = append(args, flag)
		}
	}
	_, err = s.Operate(ctx, stack.Operation{Args: args})
	return err
}

// healthy returns nil when a further update has nothing to do and the platform works.
func healthy(ctx context.Context, s *stack.Stack) error {
	if _, err := s.Operate(ctx, stack.Operation{Args: []string{"preview", "--refresh", "--expect-no-changes"}}); err != nil {
		return fmt.Errorf("an update would change something: %w", err)
	}
	outputs, err := s.Outputs(ctx)
	if err != nil {
		return err
	}
	if err := outputs.Healthy(ctx); err != nil {
		return err
	}
	sample, err := jobs.New(s, outputs)
	if err != nil {
		return err
	}
	return sample.Run(ctx)
}
