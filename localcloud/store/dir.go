// Package store keeps the state of the local cloud: tables of resources in memory, and one file that is replaced whole,
// so that a crash at any moment leaves either the old state or the new one.
package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/google/renameio/v2"
)

const (
	stateFile = "state.json"
	lockFile  = "lock"
)

// ErrInUse is returned, wrapped, when another process holds the state directory.
var ErrInUse = errors.New("state directory is in use")

// Dir is a state directory held by this process alone.
type Dir struct {
	path string
	lock *os.File
}

// Open creates the directory where needed and locks it. It returns ErrInUse when another process has it open.
func Open(path string) (*Dir, error) {
	// User-data in the state may carry secrets: only the owner may look.
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("create state directory: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(path, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock of state directory: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close() // nothing was written to it
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w: another localcloud runs with it, stop that one first", path, ErrInUse)
		}
		return nil, fmt.Errorf("lock state directory %s: %w", path, err)
	}
	return &Dir{path: path, lock: lock}, nil
}

// Load reads the state into v. It returns false, and leaves v alone, when nothing was saved yet.
func (d *Dir) Load(v any) (bool, error) {
	data, err := os.ReadFile(filepath.Join(d.path, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read state: %w", err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return false, fmt.Errorf("read state %s: %w", filepath.Join(d.path, stateFile), err)
	}
	return true, nil
}

// Save replaces the state on disk by v in one step.
func (d *Dir) Save(v any) error {
	data, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	if err := renameio.WriteFile(filepath.Join(d.path, stateFile), data, 0o600); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

// Close releases the directory.
func (d *Dir) Close() error { return d.lock.Close() }

// Remove deletes the saved state and releases the directory. It removes the directory too if nothing else is in it.
func (d *Dir) Remove() error {
	for _, name := range []string{stateFile, lockFile} {
		if err := os.Remove(filepath.Join(d.path, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove state: %w", err)
		}
	}
	if err := os.Remove(d.path); err != nil && !errors.Is(err, syscall.ENOTEMPTY) {
		return fmt.Errorf("remove state directory: %w", err)
	}
	return d.Close()
}
