// Package machinetest runs what is on a machine in tests: its scripts, below a directory that stands for the machine's /, and
// the products.
package machinetest

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hashistack/internal/machine"
)

// Disk is a machine's file system, below a directory.
type Disk struct{ Root string }

// NewDisk makes one with these directories.
func NewDisk(t *testing.T, dirs ...string) Disk {
	t.Helper()
	d := Disk{t.TempDir()}
	for _, dir := range append(dirs, "bin") {
		require.NoError(t, os.MkdirAll(d.Path(dir), 0o700))
	}
	return d
}

// Path is where a path of the machine is.
func (d Disk) Path(path string) string { return filepath.Join(d.Root, path) }

// Write writes a file of the machine.
func (d Disk) Write(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(d.Path(path), []byte(content), 0o600))
}

// Read reads a file of the machine.
func (d Disk) Read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(d.Path(path))
	require.NoError(t, err)
	return string(content)
}

// Command puts a command of the test's, a shell script without its first line, in place of one that the machine has. Scripts
// of the machine run with Env.
func (d Disk) Command(t *testing.T, name, does string) {
	t.Helper()
	require.NoError(t, os.WriteFile(d.Path("bin/"+name), []byte("#!/bin/sh\n"+does+"\n"), 0o700)) //nolint:gosec // scripts are run
}

// Env is the environment of the machine's scripts.
func (d Disk) Env(more ...string) []string {
	return append([]string{"PATH=" + d.Path("bin") + ":/usr/bin:/bin"}, more...)
}

// Script installs a script of a part's rootfs with the machine's paths in it, and returns where it is. replace are pairs of
// further texts to replace, as in strings.NewReplacer.
func (d Disk) Script(t *testing.T, part machine.Part, path string, replace ...string) string {
	t.Helper()
	content, err := fs.ReadFile(part.FS, "rootfs"+path)
	require.NoError(t, err)
	for _, dir := range []string{"/etc/", "/run/", "/var/lib/", "/opt/"} {
		replace = append(replace, dir, d.Path(dir)+"/")
	}
	script := d.Path(filepath.Base(path))
	text := strings.NewReplacer(replace...).Replace(string(content))
	require.NoError(t, os.WriteFile(script, []byte(text), 0o700)) //nolint:gosec // it is run
	return script
}
