package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"hashistack/e2e/jobs"
	"hashistack/e2e/stack"
)

// up brings everything up, from what this machine lacks to a job that shows its secret.
func up(ctx context.Context, s *stack.Stack) error {
	var phases stack.Phases
	if err := s.Prepare(ctx, &phases); err != nil {
		return err
	}
	err := phases.Measure("pulumi up", func() error {
		events, err := s.Operate(ctx, stack.Operation{Args: []string{"up", "--yes", "--skip-preview"}})
		if errors.Is(err, stack.ErrFailed) {
			s.Diagnose(context.WithoutCancel(ctx), events)
		}
		return err
	})
	if err != nil {
		return err
	}
	outputs, err := s.Outputs(ctx)
	if err != nil {
		return err
	}
	if err := use(ctx, s, outputs, &phases); err != nil {
		s.DiagnoseError(context.WithoutCancel(ctx), err)
		return err
	}
	summarise(s, outputs, phases)
	return nil
}

// use proves that the platform works: it runs the sample jobs and waits for all machines.
func use(ctx context.Context, s *stack.Stack, outputs *stack.Outputs, phases *stack.Phases) error {
	sample, err := jobs.New(s, outputs)
	if err != nil {
		return err
	}
	if err := phases.Measure("sample job", func() error { return sample.Run(ctx) }); err != nil {
		return err
	}
	// An update ends when the servers are ready. The last clients may take a moment longer.
	if err := phases.Measure("all ready", func() error { return outputs.Healthy(ctx) }); err != nil {
		return err
	}
	return sample.RunDenied(ctx)
}

// runJobs runs both sample jobs, and shows what each of them says.
func runJobs(ctx context.Context, s *stack.Stack) error {
	outputs, err := s.Outputs(ctx)
	if err != nil {
		return err
	}
	sample, err := jobs.New(s, outputs)
	if err != nil {
		return err
	}
	if err := sample.Run(ctx); err != nil {
		return err
	}
	fmt.Fprintln(s.Out, "page:   http://page.service.consul shows its secret")
	if err := sample.RunDenied(ctx); err != nil {
		return err
	}
	reason, err := sample.Denied(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(s.Out, "denied:", reason)
	return nil
}

func env(ctx context.Context, s *stack.Stack) error {
	exports, err := s.Exports(ctx)
	if err != nil {
		return err
	}
	fmt.Print(exports)
	return nil
}

func settle(ctx context.Context, s *stack.Stack) error { return s.Settle(ctx) }

func down(ctx context.Context, s *stack.Stack) error { return s.Down(ctx) }

// summarise says how to use what has come up. Tokens are asked for, not shown: terminals are logged and recorded.
func summarise(s *stack.Stack, outputs *stack.Outputs, phases stack.Phases) {
	p := func(format string, args ...any) { fmt.Fprintf(s.Out, format+"\n", args...) }
	p("\nThe platform is up. The sample job reads its secret from Vault and shows it at page.service.consul.\n")
	for _, name := range slices.Sorted(maps.Keys(outputs.Machines)) {
		p("  %-12s %s", name, outputs.Machines[name])
	}
	p("")
	for _, product := range []struct{ name, address, token, cli string }{
		{"Vault", outputs.VaultAddress, "VAULT_TOKEN", "vault status"},
		{"Consul", outputs.ConsulAddress, "CONSUL_HTTP_TOKEN", "consul members"},
		{"Nomad", outputs.NomadAddress, "NOMAD_TOKEN", "nomad job status"},
	} {
		p("  %-12s %s/ui    log in with $%s", product.name, product.address, product.token)
		p("  %-12s %s", "", product.cli)
	}
	p("  %-12s %s    (trust it in the browser, for the UIs)", "CA file", outputs.CAFile)
	p("\nIn a shell, first:  eval \"$(make -s env)\"    (an operator's tokens, for two hours)\n")
	total := 0.0
	for _, phase := range phases {
		p("  %-12s %7.1f s", phase.Name, phase.Took.Seconds())
		total += phase.Took.Seconds()
	}
	p("  %-12s %7.1f s", "all", total)
}
