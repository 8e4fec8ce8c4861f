// Command localcloud runs a local Hetzner Cloud: the API on one address, machines in Docker behind it.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := &cobra.Command{
		Use:           "localcloud",
		Short:         "A local Hetzner Cloud whose servers are systemd containers",
		SilenceUsage:  true, // A failure of the cloud is no misuse of the command line.
		SilenceErrors: true, // main prints it.
	}
	root.AddCommand(serveCommand(), downCommand())
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "localcloud:", err)
		os.Exit(1)
	}
}

func newLog(verbose bool) *slog.Logger {
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}
