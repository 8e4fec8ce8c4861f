package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"hashistack/e2e/resume"
	"hashistack/e2e/stack"
)

func resumeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "prove-resume [NUMBER…]",
		Short: "Kill `pulumi up` at each of several moments and see that the next one brings the stack up",
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := stack.Open()
			if err != nil {
				return err
			}
			chosen := map[int]bool{}
			for _, arg := range args {
				number, err := strconv.Atoi(arg)
				if err != nil || number < 1 || number > len(resume.Moments()) {
					return fmt.Errorf("a moment is a number from 1 to %d, got %q", len(resume.Moments()), arg)
				}
				chosen[number] = true
			}
			return proveResume(cmd.Context(), s, chosen)
		},
	}
}

// proveResume kills an update at each chosen moment, or at every moment if none is chosen. It reports the moments after
// which the stack did not come up.
func proveResume(ctx context.Context, s *stack.Stack, chosen map[int]bool) error {
	var failed []error
	var verdicts []string
	moments := resume.Moments()
	for i, moment := range moments {
		if len(chosen) > 0 && !chosen[i+1] {
			continue
		}
		title := fmt.Sprintf("%d of %d: %s", i+1, len(moments), moment.What)
		fmt.Fprintf(s.Out, "\n=== %s\n", title)
		start := time.Now()
		err := resume.Prove(ctx, s, moment)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		verdict := "came up"
		if err != nil {
			verdict = "FAILED: " + err.Error()
			failed = append(failed, fmt.Errorf("%s: %w", moment.What, err))
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
