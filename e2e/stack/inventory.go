package stack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Inventory is what a stack could leave on a host, a line each.
type Inventory map[string]bool

// TakeInventory lists containers, networks, volumes, firewall tables, routes and addresses of the host, the processes of
// our tools, and the stack's files.
func (s *Stack) TakeInventory(ctx context.Context) (Inventory, error) {
	all := Inventory{}
	for kind, command := range map[string][]string{
		"container": {"docker", "ps", "--all", "--format", "{{.Names}}"},
		"network":   {"docker", "network", "ls", "--format", "{{.Name}}"},
		"volume":    {"docker", "volume", "ls", "--format", "{{.Name}}"},
		"nft":       {"/usr/sbin/nft", "list", "tables"},
		"route":     {"ip", "route", "show", "table", "all"},
		"address":   {"ip", "-brief", "address"},
	} {
		// Not with the stack's environment: that would make its folder.
		out, err := exec.CommandContext(ctx, command[0], command[1:]...).Output()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", strings.Join(command, " "), err)
		}
		for line := range strings.Lines(string(out)) {
			all[kind+": "+strings.TrimSpace(line)] = true
		}
	}
	for _, exe := range executables() {
		name := filepath.Base(exe)
		for _, ours := range []string{"pulumi", "localcloud", "vault", "consul", "nomad", "provider"} {
			if strings.HasPrefix(name, ours) {
				all["process: "+exe] = true
			}
		}
	}
	for _, path := range []string{s.Path(), filepath.Join(s.Root, ".ca", Name+".pem")} {
		switch _, err := os.Stat(path); {
		case err == nil:
			all["file: "+path] = true
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	return all, nil
}

// executables are the programs of the processes that run on this host, by process ID.
func executables() map[int]string {
	all := map[int]string{}
	links, _ := filepath.Glob("/proc/[0-9]*/exe") // the pattern is well formed
	for _, link := range links {
		exe, err := os.Readlink(link)
		if err != nil {
			continue // a kernel thread, or ended meanwhile
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link))); err == nil {
			// The kernel appends a remark to the name of a file that has been replaced since.
			all[pid] = strings.TrimSuffix(exe, " (deleted)")
		}
	}
	return all
}

// LeftNothing returns an error that lists what a host has now and had not before.
func (s *Stack) LeftNothing(ctx context.Context, before Inventory) error {
	after, err := s.TakeInventory(ctx)
	if err != nil {
		return err
	}
	if left := after.without(before); len(left) > 0 {
		return fmt.Errorf("down left something: %s", strings.Join(left, "; "))
	}
	return nil
}

// without are the lines that other does not have.
func (i Inventory) without(other Inventory) (lines []string) {
	for line := range i {
		if !other[line] {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return lines
}
