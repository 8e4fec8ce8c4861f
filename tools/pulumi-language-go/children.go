package main

import (
	"context"
	"errors"
	"io"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// grace is how long a program or plugin may take to end by itself once it is asked to. The engine gives its own
// plugins the same.
const grace = 5 * time.Second

// children are the processes that the host has running, each with a process group of its own.
type children struct {
	mu     sync.Mutex
	groups map[int]struct{}
}

type command struct {
	path           string
	args           []string
	dir            string
	env            []string
	stdout, stderr io.Writer
}

// run starts a process and waits until it and all that it started have ended. It returns the exit status, -1 when a
// signal ended it. When ctx ends first, the process is interrupted, and killed if that does not help.
func (c *children) run(ctx context.Context, do command) (int, error) {
	// The kernel ties the "parent died" signal to the thread that starts a process: it must live as long.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	cmd := exec.CommandContext(ctx, do.path, do.args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = do.dir, do.env, do.stdout, do.stderr
	cmd.SysProcAttr = processAttributes()
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = grace

	if err := c.start(cmd); err != nil {
		return 0, err
	}
	err := cmd.Wait()
	c.end(cmd.Process.Pid)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return cmd.ProcessState.ExitCode(), err
}

// start starts a process. It holds the lock meanwhile, so that killAll misses none.
func (c *children) start(cmd *exec.Cmd) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	if c.groups == nil {
		c.groups = map[int]struct{}{}
	}
	c.groups[cmd.Process.Pid] = struct{}{}
	return nil
}

// end kills what a process has left behind.
func (c *children) end(group int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.groups, group)
	_ = syscall.Kill(-group, syscall.SIGKILL) // no such group: nothing was left
}

// killAll kills every process. It keeps the lock, so that none can start after it: the host is to exit next.
func (c *children) killAll() {
	c.mu.Lock()
	for group := range c.groups {
		_ = syscall.Kill(-group, syscall.SIGKILL) // no such group: it has just ended
	}
}
