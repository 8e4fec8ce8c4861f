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
		Use:   "prove-rotation [NUMBER…]",
		Short: "Let everything live for a minute or two, and see that users of the platform notice nothing",
		Long:  "Let everything live for a minute or two, and see that users of the platform notice nothing.\nThe steps:\n" + rotation.Steps(),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := stack.Open()
			if err != nil {
				return err
			}
			steps, err := rotation.Choose(args, brief)
			if err != nil {
				return err
			}
			return rotation.Prove(cmd.Context(), s, steps, filepath.Join(s.Root, ".out", "rotation"))
		},
	}
	cmd.Flags().BoolVar(&brief, "brief", false, "only the steps that are a part of the tests")
	return cmd
}
