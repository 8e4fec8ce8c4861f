package main

import (
	"context"

	"hashistack/e2e/security"
	"hashistack/e2e/stack"
)

func trySecurity(ctx context.Context, s *stack.Stack) error {
	outputs, err := s.Outputs(ctx)
	if err != nil {
		return err
	}
	rows, err := security.Try(ctx, s, outputs, security.All)
	if err != nil {
		return err
	}
	return security.Report(s.Out, rows)
}

// proveSecurity shows that the attempts see what they look for: protections that are broken on purpose turn them red, and when
// all is put back none is.
func proveSecurity(ctx context.Context, s *stack.Stack) error {
	outputs, err := s.Outputs(ctx)
	if err != nil {
		return err
	}
	if err := security.Mutate(ctx, s, outputs); err != nil {
		return err
	}
	return trySecurity(ctx, s)
}
