package main

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"

	"hashistack/localcloud/machine"
	"hashistack/localcloud/store"
)

func downCommand() *cobra.Command {
	var o cloudOptions
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Remove all that a local cloud has made: machines, disks, networks, firewall, state",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			publicRange, err := netip.ParsePrefix(o.publicRange)
			if err != nil {
				return fmt.Errorf("--public-range: %w", err)
			}
			// Held throughout, so that no local cloud makes new machines while the old ones are removed.
			state, err := store.Open(o.state)
			if err != nil {
				return err
			}
			runtime, err := machine.Open(machine.Options{Name: o.name, PublicRange: publicRange})
			if err != nil {
				return errors.Join(err, state.Close())
			}
			if err := runtime.Cleanup(cmd.Context()); err != nil {
				return errors.Join(fmt.Errorf("remove the machines of %s: %w", o.name, err), state.Close())
			}
			return state.Remove()
		},
	}
	o.flags(cmd)
	return cmd
}
