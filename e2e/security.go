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
