package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"hashistack/internal/poll"
)

// engineAddress matches the last argument of a plugin: the address of the engine that it works for.
var engineAddress = regexp.MustCompile(`^127\.0\.0\.1:[0-9]+$`)

// stopOrphans ends the plugins of this project whose engine is gone. They would notice it themselves, but they look
// only once in five minutes.
func stopOrphans(ctx context.Context, project string, out io.Writer) error {
	orphans, err := orphans(project)
	if err != nil {
		return err
	}
	for _, p := range orphans {
		fmt.Fprintf(out, "  stopping %s (pid %d), which a killed update left running\n", p.name, p.pid)
		if err := syscall.Kill(p.pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stop %s (pid %d): %w", p.name, p.pid, err)
		}
	}
	return poll.Until(ctx, 10*time.Second, "the plugins to end", func(context.Context) error {
		for _, p := range orphans {
			if _, err := os.Stat(filepath.Join("/proc", strconv.Itoa(p.pid), "exe")); err == nil {
				return fmt.Errorf("%s (pid %d) still runs", p.name, p.pid)
			}
		}
		return nil
	})
}

type process struct {
	pid  int
	name string
}

func orphans(project string) ([]process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var all []process
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		// What cannot be read has ended meanwhile or is another user's.
		dir := filepath.Join("/proc", entry.Name())
		cwd, err := os.Readlink(filepath.Join(dir, "cwd"))
		if err != nil || cwd != project && !strings.HasPrefix(cwd, project+string(filepath.Separator)) {
			continue
		}
		command, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil {
			continue
		}
		environ, err := os.ReadFile(filepath.Join(dir, "environ"))
		if err != nil {
			continue
		}
		args := strings.Split(strings.TrimRight(string(command), "\x00"), "\x00")
		address := engineOf(args, strings.Split(string(environ), "\x00"))
		if address != "" && !listens(address) {
			all = append(all, process{pid, filepath.Base(args[0])})
		}
	}
	return all, nil
}

// engineOf is the address of the engine that a process works for: plugins have it as an argument, programs in their
// environment. It is empty for all other processes.
func engineOf(args, environ []string) string {
	if last := args[len(args)-1]; engineAddress.MatchString(last) {
		return last
	}
	if i := slices.IndexFunc(environ, func(v string) bool { return strings.HasPrefix(v, "PULUMI_ENGINE=") }); i >= 0 {
		return strings.TrimPrefix(environ[i], "PULUMI_ENGINE=")
	}
	return ""
}

func listens(address string) bool {
	connection, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	_ = connection.Close()
	return true
}
