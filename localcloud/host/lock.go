// Package host is what the local cloud does to the machine that it runs on, and how it keeps out of the way of others
// there. It needs nothing but Go's own library, so that it runs before anything is downloaded or built.
package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Wait takes the lock of a file, which is made where needed, and returns what gives it back. It waits for another process
// that has it, until ctx ends.
func Wait(ctx context.Context, path string) (release func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // the lock says nothing
		return nil, err
	}
	for {
		file, err := tryLock(path)
		if err == nil {
			return func() { _ = file.Close() }, nil // closing gives the lock back
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for another process to release %s: %w", path, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// tryLock returns EWOULDBLOCK, wrapped, when another process has the lock.
func tryLock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// Owner is who works on a local cloud.
type Owner struct {
	// State is the identity of its state directory.
	State string `json:"state"`
	PID   int    `json:"pid"`
}

// TakenError is returned, wrapped, when another process works on the local cloud of a name.
type TakenError struct {
	Name string
	Owner
}

func (e *TakenError) Error() string {
	return fmt.Sprintf("the local cloud %q of %s runs on this host (pid %d): stop that one first, with `make down` in its checkout",
		e.Name, e.State, e.PID)
}

// Claim is the right to work on the local cloud of one name on this host. It ends with its process.
type Claim struct{ file *os.File }

// lockPath is the same for every checkout and user of the host.
func lockPath(name string) string {
	return filepath.Join("/run/lock", "localcloud-"+url.PathEscape(name)+".lock")
}

// NewClaim claims the local cloud of a name for the state directory with an identity. It returns a TakenError when
// another process has it.
func NewClaim(name, identity string) (*Claim, error) {
	path := lockPath(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o1777); err != nil { //nolint:gosec // as Debian makes it
		return nil, err
	}
	for {
		file, err := tryLock(path)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			owner, err := readOwner(path)
			return nil, errors.Join(&TakenError{Name: name, Owner: owner}, err)
		}
		if err != nil {
			return nil, fmt.Errorf("lock the local cloud %q: %w", name, err)
		}
		if !isFile(file, path) { // its owner released it, and with it the file, meanwhile
			_ = file.Close()
			continue
		}
		content, err := json.Marshal(Owner{State: identity, PID: os.Getpid()})
		if err == nil {
			err = file.Truncate(0)
		}
		if err == nil {
			_, err = file.WriteAt(content, 0)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("note in %s who has it: %w", path, err), file.Close())
		}
		return &Claim{file}, nil
	}
}

// Release ends the claim and leaves nothing of it.
func (c *Claim) Release() error { return errors.Join(os.Remove(c.file.Name()), c.file.Close()) }

// Working tells who works on the local cloud of a name; found is false if nobody does.
func Working(name string) (owner Owner, found bool, err error) {
	path := lockPath(name)
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Owner{}, false, nil
	}
	if err != nil {
		return Owner{}, false, err
	}
	defer file.Close() //nolint:errcheck // only read
	if syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) == nil {
		return Owner{}, false, nil // left by one that was killed
	}
	owner, err = readOwner(path)
	return owner, true, err
}

// readOwner reads what the one that has the lock wrote; nothing if it is about to.
func readOwner(path string) (Owner, error) {
	var owner Owner
	content, err := os.ReadFile(path)
	if err == nil && len(content) > 0 {
		err = json.Unmarshal(content, &owner)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return owner, fmt.Errorf("read who has %s: %w", path, err)
	}
	return owner, nil
}

// isFile tells whether an open file is the one at a path.
func isFile(file *os.File, path string) bool {
	mine, err := file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(mine, there)
}

// Identity is what everything that a local cloud makes is marked with: where its state directory is, whatever way leads
// there. The directory need not exist.
func Identity(state string) (string, error) {
	path, err := filepath.Abs(state)
	if err != nil {
		return "", err
	}
	rest := ""
	for dir := path; ; dir = filepath.Dir(dir) {
		real, err := filepath.EvalSymlinks(dir)
		if err == nil {
			return filepath.Join(real, rest), nil
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == "/" {
			return "", fmt.Errorf("find the state directory %s: %w", state, err)
		}
		rest = filepath.Join(filepath.Base(dir), rest)
	}
}
