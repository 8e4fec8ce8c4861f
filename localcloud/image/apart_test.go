package image

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// needRoot skips a test that mounts.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
}

// building stands in the place of mmdebstrap: it does what that does to the host, which is to bind a folder of the host
// into the tree, and then builds for ever, with a child. What it is told to ignore, it ignores.
const building = `#!/bin/sh
%s
for last; do tree=$previous; previous=$last; done
mkdir -p "$tree/dev/shm"
mount --bind %q "$tree/dev/shm"
[ -e "$tree/dev/shm/others" ] || exit 3
(while :; do sleep 0.05; done) &
echo "$!" >%q
wait
`

// build starts the image's build with that in the place of mmdebstrap, and returns when it has mounted.
func build(ctx context.Context, t *testing.T, extra string) (shared, tree, child string, ended chan error) {
	t.Helper()
	needRoot(t)
	bin := t.TempDir()
	shared, tree = t.TempDir(), filepath.Join(t.TempDir(), "debian")
	note := filepath.Join(bin, "child")
	require.NoError(t, os.WriteFile(filepath.Join(shared, "others"), []byte("memory"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(bin, "mmdebstrap"), fmt.Appendf(nil, building, extra, shared, note), 0o700))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	ended = make(chan error, 1)
	go func() {
		ended <- once(tree, func(dir string) error { return bootstrap(ctx, dir, io.Discard) })
	}()
	require.Eventually(t, func() bool {
		content, err := os.ReadFile(note)
		child = strings.TrimSpace(string(content))
		return err == nil && child != ""
	}, 10*time.Second, 10*time.Millisecond, "the build has begun")
	return shared, tree, child, ended
}

func runs(pid string) bool {
	state, err := os.ReadFile("/proc/" + pid + "/stat")
	return err == nil && !strings.Contains(string(state), ") Z ")
}

// A build that is stopped in the middle takes nothing of others with it, and leaves neither processes nor mounts.
func TestStoppedBuildTouchesNothingOfOthers(t *testing.T) {
	for name, extra := range map[string]string{
		"ends when asked to": "",
		"has to be killed":   "trap '' TERM",
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			shared, tree, child, ended := build(ctx, t, extra)
			mounts, err := os.ReadFile("/proc/self/mountinfo")
			require.NoError(t, err)
			assert.NotContains(t, string(mounts), tree, "the host sees no mount of the build")
			require.True(t, runs(child))

			cancel()
			require.ErrorContains(t, <-ended, "mmdebstrap")
			assert.FileExists(t, filepath.Join(shared, "others"))
			assert.NoDirExists(t, tree+".part")
			assert.False(t, runs(child), "its child goes too")
		})
	}
}

// A local cloud that is killed takes its build along.
func TestBuildEndsWithItsStarter(t *testing.T) {
	needRoot(t)
	if note := os.Getenv("STARTER_OF"); note != "" { // the process that is killed
		cmd := apart(context.Background(), "sh", "-c", "echo $$ >"+note+"; while :; do sleep 0.05; done")
		_ = runApart(cmd)
		return
	}
	note := filepath.Join(t.TempDir(), "pid")
	starter := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	starter.Env = append(os.Environ(), "STARTER_OF="+note)
	require.NoError(t, starter.Start())
	var child string
	require.Eventually(t, func() bool {
		content, _ := os.ReadFile(note) // not there yet
		child = strings.TrimSpace(string(content))
		return child != ""
	}, 10*time.Second, 10*time.Millisecond)
	require.True(t, runs(child))
	require.NoError(t, starter.Process.Kill())
	_ = starter.Wait() // it was killed
	require.Eventually(t, func() bool { return !runs(child) }, 10*time.Second, 10*time.Millisecond)
}

// What an older version has left mounted is named and not removed through; unmounted, the way is free.
func TestNothingIsRemovedThroughAMount(t *testing.T) {
	needRoot(t)
	shared, dir := t.TempDir(), filepath.Join(t.TempDir(), "debian with a space")
	at := filepath.Join(dir+".part", "root/dev/shm")
	require.NoError(t, os.WriteFile(filepath.Join(shared, "others"), nil, 0o600))
	require.NoError(t, os.MkdirAll(at, 0o700))
	require.NoError(t, syscall.Mount(shared, at, "", syscall.MS_BIND, ""))
	t.Cleanup(func() { _ = syscall.Unmount(at, syscall.MNT_DETACH) })

	built := func(string) error { return nil }
	require.ErrorContains(t, once(dir, built), "umount '"+at+"'")
	assert.FileExists(t, filepath.Join(shared, "others"))
	require.NoError(t, syscall.Unmount(at, 0))
	require.NoError(t, once(dir, built))
	assert.NoDirExists(t, dir+".part")
	assert.FileExists(t, filepath.Join(shared, "others"))
}
