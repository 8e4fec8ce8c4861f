package main

import (
	"context"
	"os"
	"os/exec"

	"github.com/spf13/cobra"

	"hashistack/e2e/settle"
	"hashistack/e2e/stack"
)

// settleCommand settles the local stack, with the environment that its updates have, or any other stack, with the
// environment of the caller.
func settleCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "settle",
		Short: "Clean up after an update that was killed, so that the next one can go on",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := stack.Open()
			if err != nil {
				return err
			}
			if name == "" || name == stack.Name {
				return s.Settle(cmd.Context())
			}
			return settle.Run(cmd.Context(), settle.Options{Project: s.Root, Token: os.Getenv("HCLOUD_TOKEN"), Out: s.Out,
				Command: func(ctx context.Context, args ...string) (*exec.Cmd, error) {
					pulumi := exec.CommandContext(ctx, "pulumi", append(args, "--stack", name, "--non-interactive")...)
					pulumi.Dir, pulumi.Stdin = s.Root, os.Stdin
					return pulumi, nil
				}})
		},
	}
	cmd.Flags().StringVar(&name, "stack", "", "another stack than the local one, with backend, passphrase and token from the environment")
	return cmd
}
