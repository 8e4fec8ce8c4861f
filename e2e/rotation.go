package main

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"hashistack/e2e/rotation"
	"hashistack/e2e/stack"
)

func rotationCommand() *cobra.Command {
	var brief bool
	cmd := &cobra.Command{
		Use:   "prove-rotation",
		Short: "Let everything live for a minute or two, and see that users of the platform notice nothing",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := stack.Open()
			if err != nil {
				return err
			}
			return rotation.Prove(cmd.Context(), s, brief, filepath.Join(s.Root, ".out", "rotation"))
		},
	}
	cmd.Flags().BoolVar(&brief, "brief", false, "the form that is a part of the tests")
	return cmd
}
