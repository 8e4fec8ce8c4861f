// Command stack drives a stack on the local Hetzner Cloud as a person would: with the stock CLIs and nothing else. The
// Makefile has a target for each of its commands.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"hashistack/e2e/stack"
)

func main() {
	// Ctrl-C is passed on to pulumi, which finishes what it is at, and we wait for that. The second one ends us alone.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:           "stack",
		Short:         "Drive a stack on the local Hetzner Cloud",
		SilenceUsage:  true, // a failure of the stack is no misuse of the command line
		SilenceErrors: true, // main prints them
	}
	for _, c := range []struct {
		use, short string
		run        func(context.Context, *stack.Stack) error
	}{
		{"up", "Bring up the local cloud, the stack on it and the sample jobs", up},
		{"down", "Destroy the stack and the local cloud, leaving nothing", down},
		{"jobs", "Run the sample jobs on the running stack", runJobs},
		{"security", "Try on the running stack what jobs and machines must not be able to do", trySecurity},
		{"prove-security", "Break protections of the running stack on purpose, and see the attempts turn red", proveSecurity},
		{"settle", "Clean up after an update that was killed, so that the next one can go on", settle},
		{"env", "Print shell exports for working with the running stack", env},
	} {
		root.AddCommand(&cobra.Command{Use: c.use, Short: c.short, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := stack.Open()
			if err != nil {
				return err
			}
			return c.run(cmd.Context(), s)
		}})
	}
	root.AddCommand(benchCommand(), resumeCommand(), rotationCommand())
	return root
}
