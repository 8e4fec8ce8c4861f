package host

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWait(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "lock")
	release, err := Wait(t.Context(), path)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = Wait(ctx, path)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, path)
	release()
	release, err = Wait(t.Context(), path)
	require.NoError(t, err)
	release()
}

// One process at a time works on the local cloud of a name; others are told who it is, and another name is free.
func TestClaim(t *testing.T) {
	name := fmt.Sprintf("claim/test %d", os.Getpid())
	_, found, err := Working(name)
	require.NoError(t, err)
	assert.False(t, found)

	mine, err := NewClaim(name, "/here/cloud")
	require.NoError(t, err)
	_, err = NewClaim(name, "/there/cloud")
	var taken *TakenError
	require.ErrorAs(t, err, &taken)
	assert.Equal(t, Owner{State: "/here/cloud", PID: os.Getpid()}, taken.Owner)
	require.ErrorContains(t, err, "of /here/cloud")
	owner, found, err := Working(name)
	require.NoError(t, err)
	assert.True(t, found)
	assert.Equal(t, "/here/cloud", owner.State)
	other, err := NewClaim(name+"2", "/there/cloud")
	require.NoError(t, err)
	require.NoError(t, other.Release())

	require.NoError(t, mine.Release())
	assert.NoFileExists(t, lockPath(name))
	next, err := NewClaim(name, "/there/cloud")
	require.NoError(t, err)
	require.NoError(t, next.Release())
}

// The claim of a process that was killed holds nobody up.
func TestClaimOfAKilledProcess(t *testing.T) {
	name := fmt.Sprintf("claim-test-killed-%d", os.Getpid())
	if of := os.Getenv("CLAIM_OF"); of != "" { // the process that is killed
		_, err := NewClaim(of, "/killed")
		require.NoError(t, err)
		select {}
	}
	process := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	process.Env = append(os.Environ(), "CLAIM_OF="+name)
	require.NoError(t, process.Start())
	require.Eventually(t, func() bool { _, found, err := Working(name); return err == nil && found }, 10*time.Second, 10*time.Millisecond)
	_, err := NewClaim(name, "/mine")
	require.ErrorContains(t, err, "/killed")
	require.NoError(t, process.Process.Kill())
	_ = process.Wait() // it was killed
	_, found, err := Working(name)
	require.NoError(t, err)
	assert.False(t, found)
	mine, err := NewClaim(name, "/mine")
	require.NoError(t, err)
	require.NoError(t, mine.Release())
}

func TestIdentity(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "checkout"), 0o700))
	require.NoError(t, os.Symlink("checkout", filepath.Join(dir, "link")))
	want := filepath.Join(dir, "checkout", ".local", "cloud") // not there yet
	for _, way := range []string{want, filepath.Join(dir, "link", ".local", "cloud"), filepath.Join(dir, "x", "..", "checkout", ".local/cloud/")} {
		got, err := Identity(way)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
}
