package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"hashistack/e2e/resume"
	"hashistack/e2e/stack"
)

func resumeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "prove-resume [NUMBER…]",
		Short: "Interrupt `pulumi up` at each of several moments, of a new stack and of a change, and see that the next one goes on",
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := stack.Open()
			if err != nil {
				return err
			}
			all := moments()
			var chosen []int
			for _, arg := range args {
				number, err := strconv.Atoi(arg)
				if err != nil || number < 1 || number > len(all) {
					return fmt.Errorf("a moment is a number from 1 to %d, got %q", len(all), arg)
				}
				chosen = append(chosen, number)
			}
			return proveResume(cmd.Context(), s, all, chosen)
		},
	}
}

// moment is one at which an update is interrupted.
type moment struct {
	what  string
	prove func(context.Context, *stack.Stack) error
}

// moments are those of an update that brings a stack up, and those of one that changes it.
func moments() (all []moment) {
	for _, m := range resume.Moments() {
		all = append(all, moment{m.What, func(ctx context.Context, s *stack.Stack) error { return resume.Prove(ctx, s, m) }})
	}
	for _, c := range resume.Changes() {
		all = append(all, moment{c.What, func(ctx context.Context, s *stack.Stack) error { return resume.ProveChange(ctx, s, c) }})
	}
	return all
}

// proveResume interrupts an update at each chosen moment, or at every moment if none is chosen. It reports the moments after
// which the next one did not finish it.
func proveResume(ctx context.Context, s *stack.Stack, all []moment, chosen []int) error {
	var failed []error
	var verdicts []string
	for i, moment := range all {
		if len(chosen) > 0 && !slices.Contains(chosen, i+1) {
			continue
		}
		title := fmt.Sprintf("%d of %d: %s", i+1, len(all), moment.what)
		fmt.Fprintf(s.Out, "\n=== %s\n", title)
		start := time.Now()
		err := moment.prove(ctx, s)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		verdict := "went on"
		if err != nil {
			verdict = "FAILED: " + err.Error()
			failed = append(failed, fmt.Errorf("%s: %w", moment.what, err))
		}
		verdicts = append(verdicts, fmt.Sprintf("%s: %s (%.0f s)", title, verdict, time.Since(start).Seconds()))
		fmt.Fprintf(s.Out, "=== %s\n", verdicts[len(verdicts)-1])
	}
	fmt.Fprintln(s.Out)
	for _, verdict := range verdicts {
		fmt.Fprintln(s.Out, verdict)
	}
	return errors.Join(failed...)
}
