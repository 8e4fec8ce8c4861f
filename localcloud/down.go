package main

import (
	"context"
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
			return down(cmd.Context(), o, publicRange)
		},
	}
	o.flags(cmd)
	return cmd
}

func down(ctx context.Context, o cloudOptions, publicRange netip.Prefix) error {
	// Held throughout, so that no local cloud makes new machines while the old ones are removed.
	claim, identity, err := o.claim()
	if err != nil {
		return err
	}
	defer func() { _ = claim.Release() }() // ends with the process in any case
	runtime, err := machine.Open(machine.Options{Name: o.name, State: identity, PublicRange: publicRange})
	if err != nil {
		return err
	}
	if err := runtime.Cleanup(ctx); err != nil {
		return fmt.Errorf("remove the machines of %s: %w", o.name, err)
	}
	state, err := store.Open(o.state)
	if err != nil {
		return err
	}
	return state.Remove()
}
