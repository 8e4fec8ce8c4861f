// Command settle brings a stack whose update was killed back to where `pulumi up` can go on.
//
// A killed pulumi leaves three things behind: its lock, plugins that still carry out their last request, and a list of
// unfinished operations in the stack's state. For a create in that list the state does not tell whether the thing
// exists. The next `pulumi up` warns and creates it again, which fails where names are unique and makes a second one
// where they are not.
//
// So each is looked up where it would be. What is found was never in the state, so nothing can refer to it, and it is
// deleted. Then the list is cleared. The lock is its owner's to remove: `pulumi cancel`.
//
// It works for any stack, with the backend, the passphrase and the API token that pulumi takes from the environment.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	name := flag.String("stack", "", "the stack; without it the one that pulumi has selected")
	flag.Parse()
	// Ctrl-C is passed on to pulumi, and we wait for it to end what it is at.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *name, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, name string, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("argument %q: there are none; name a stack with --stack", args[0])
	}
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	project, err := findProject(dir)
	if err != nil {
		return err
	}
	return Run(ctx, Options{
		Project: project, Token: os.Getenv("HCLOUD_TOKEN"), Out: os.Stdout,
		Command: func(ctx context.Context, args ...string) *exec.Cmd { return pulumi(ctx, project, name, args...) },
	})
}

// findProject is the folder with Pulumi.yaml: a folder, or one above it. Links in its path are resolved, as the kernel
// does in the working folders of processes, with which it is compared.
func findProject(dir string) (string, error) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "Pulumi.yaml")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no Pulumi.yaml here or in a folder above: run this in the project's folder")
		}
	}
}

// pulumi is a command of its CLI for a stack.
func pulumi(ctx context.Context, project, name string, args ...string) *exec.Cmd {
	args = append(args, "--non-interactive")
	if name != "" {
		args = append(args, "--stack", name)
	}
	cmd := exec.CommandContext(ctx, "pulumi", args...)
	cmd.Dir = project
	// In a group of its own it does not get the terminal's Ctrl-C beside ours: two of them end it at once, with its lock left.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	return cmd
}
