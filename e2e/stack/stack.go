// Package stack drives a stack on the local Hetzner Cloud: the cloud's process, `pulumi`, and the environment in which a
// person works with both.
package stack

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Name is the stack's; its configuration is Pulumi.local.yaml.
const Name = "local"

// passphrase encrypts the local stack's secrets. It is no secret itself: what it protects exists on this host alone and
// ends with `make down`, and Pulumi.local.yaml, which is in the repository, holds the salt that belongs to it.
const passphrase = "local"

// Where the local cloud listens: its API and, apart from it, what controls and watches it.
const (
	CloudAddress   = "127.0.0.1:8580"
	ControlAddress = "127.0.0.1:8581"
)

// mirrorKey is where the local cloud hands out the key that signs its packages: on the host's own public address.
const mirrorKey = "http://198.18.0.1:8582/key.asc"

// Stack is the local stack of one checkout. All that it leaves on the host's disk lies in one folder, .local.
type Stack struct {
	// Root is the checkout.
	Root string
	// Out receives what a person wants to follow.
	Out io.Writer
	// Config is a configuration file to use in place of Pulumi.local.yaml; empty for that one.
	Config string
}

// Open finds the checkout that the working folder is in.
func Open() (*Stack, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "Pulumi.yaml")); err == nil {
			if err := bypassProxies(); err != nil {
				return nil, err
			}
			return &Stack{Root: dir, Out: os.Stdout, Config: os.Getenv(ConfigVariable)}, nil
		}
		if dir == filepath.Dir(dir) {
			return nil, errors.New("no Pulumi.yaml here or in a folder above: run this inside a checkout")
		}
	}
}

// ConfigVariable is the environment variable with another file of configuration than the repository's: make's CONFIG.
const ConfigVariable = "STACK_CONFIG"

// Path is a file in the folder that holds everything of the running stack.
func (s *Stack) Path(name ...string) string {
	return filepath.Join(append([]string{s.Root, ".local"}, name...)...)
}

func (s *Stack) say(format string, args ...any) { fmt.Fprintf(s.Out, format+"\n", args...) }

// token is the local cloud's API token; empty if there is none yet.
func (s *Stack) token() (string, error) {
	content, err := os.ReadFile(s.Path("token"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the local cloud's token: %w", err)
	}
	return string(content), nil
}

// makeToken makes the local cloud's API token, unless there is one.
func (s *Stack) makeToken() (string, error) {
	if token, err := s.token(); err != nil || token != "" {
		return token, err
	}
	random := make([]byte, 32) // 64 characters, as at Hetzner
	if _, err := rand.Read(random); err != nil {
		return "", err
	}
	token := hex.EncodeToString(random)
	if err := os.MkdirAll(s.Path(), 0o700); err != nil {
		return "", err
	}
	if err := os.WriteFile(s.Path("token"), []byte(token), 0o600); err != nil {
		return "", fmt.Errorf("keep the local cloud's token: %w", err)
	}
	return token, nil
}

// exists tells whether the stack has a state.
func (s *Stack) exists() bool {
	_, err := os.Stat(s.stateFile())
	return err == nil
}

// stateFile is where the local backend keeps the stack's state.
func (s *Stack) stateFile() string {
	return s.Path("state", ".pulumi", "stacks", "hashistack", Name+".json")
}

// IsUp tells whether there is anything of a stack: its state, or the local cloud's.
func (s *Stack) IsUp() bool {
	_, err := os.Stat(s.Path("cloud"))
	return err == nil || s.exists()
}
