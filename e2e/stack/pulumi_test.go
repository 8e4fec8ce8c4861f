package stack

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// interruptible stands in the place of pulumi: it notes each interrupt, and ends half a second after the first one, as
// pulumi does when it has finished what it is at.
func interruptible(log string) {
	note := func(line string) {
		file, err := os.OpenFile(log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err == nil {
			_, _ = file.WriteString(line + " ") // the test sees that it is missing
			_ = file.Close()
		}
	}
	interrupts := make(chan os.Signal, 10)
	signal.Notify(interrupts, os.Interrupt)
	// Two signals may arrive as one, so a group of its own is what keeps the terminal's away for certain.
	note(fmt.Sprintf("own-group:%t", syscall.Getpgrp() == os.Getpid()))
	note("ready")
	<-interrupts
	note("interrupt")
	for finished := time.After(500 * time.Millisecond); ; {
		select {
		case <-interrupts:
			note("interrupt")
		case <-finished:
			note("finished")
			os.Exit(255)
		}
	}
}

// TestCtrlCReachesPulumiOnce sends what a terminal sends: SIGINT to every process of the group in the foreground.
func TestCtrlCReachesPulumiOnce(t *testing.T) {
	if log := os.Getenv("INTERRUPTS"); log != "" {
		interruptible(log)
	}
	if root := os.Getenv("STACK_ROOT"); root != "" { // the process in the foreground
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		_, err := (&Stack{Root: root, Out: io.Discard}).Operate(ctx, Operation{Args: []string{"up"}})
		require.ErrorIs(t, err, ErrFailed)
		return
	}
	root := t.TempDir()
	pulumi := filepath.Join(root, ".tools", "bin", "pulumi")
	require.NoError(t, os.MkdirAll(filepath.Dir(pulumi), 0o700))
	script := fmt.Sprintf("#!/bin/sh\nINTERRUPTS=%s exec %s -test.run='^%s$'\n", pulumi+".log", os.Args[0], t.Name())
	require.NoError(t, os.WriteFile(pulumi, []byte(script), 0o700))
	log := func() string {
		content, _ := os.ReadFile(pulumi + ".log") // not there yet
		return strings.TrimSpace(string(content))
	}
	foreground := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	foreground.Env = append(os.Environ(), "STACK_ROOT="+root)
	foreground.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var out strings.Builder
	foreground.Stdout, foreground.Stderr = &out, &out
	require.NoError(t, foreground.Start())
	require.Eventually(t, func() bool { return strings.HasSuffix(log(), "ready") }, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, syscall.Kill(-foreground.Process.Pid, syscall.SIGINT))
	require.NoError(t, foreground.Wait(), "%s", &out)
	assert.Equal(t, "own-group:true ready interrupt finished", log(), "one interrupt, and the time to finish")
}
