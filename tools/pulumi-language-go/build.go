package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

// build compiles a program or plugin and returns the path of its binary. The compiler's messages go to output.
//
// The binary of a folder is kept in the user's cache, because the Go tool neither compiles nor links what has not
// changed since: most runs of `pulumi up` then cost the check only.
func (h *host) build(ctx context.Context, info *pulumirpc.ProgramInfo, output io.Writer) (string, error) {
	options := info.GetOptions().AsMap()
	for name := range options {
		if name != "binary" {
			return "", fmt.Errorf("runtime option %q is not supported: remove it (known: binary)", name)
		}
	}
	dir := info.GetProgramDirectory()
	if binary, ok := options["binary"].(string); ok && binary != "" {
		if !filepath.IsAbs(binary) {
			binary = filepath.Join(dir, binary)
		}
		return binary, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the user's cache folder: %w", err)
	}
	dir = filepath.Join(dir, info.GetEntryPoint())
	sum := sha256.Sum256([]byte(dir))
	out := filepath.Join(cache, "hashistack", "programs", hex.EncodeToString(sum[:8]), filepath.Base(dir))
	if err := os.MkdirAll(filepath.Dir(out), 0o700); err != nil {
		return "", fmt.Errorf("create the folder of the compiled program: %w", err)
	}
	// Without a version stamp, which would make every commit link anew.
	if err := h.goTool(ctx, dir, output, "build", "-buildvcs=false", "-o", out, "."); err != nil {
		return "", err
	}
	return out, nil
}

// goTool runs the Go tool in a folder. What it writes goes to output.
func (h *host) goTool(ctx context.Context, dir string, output io.Writer, args ...string) error {
	path, err := exec.LookPath("go")
	if err != nil {
		return errNoGo(err)
	}
	env := os.Environ()
	if cache, err := os.UserCacheDir(); err == nil {
		// On the file system of the binaries, so that a new one is renamed into place: writing over one that another
		// engine has running would fail with "text file busy".
		env = append(env, "GOTMPDIR="+filepath.Join(cache, "hashistack", "programs"))
	}
	code, err := h.children.run(ctx, command{path: path, args: args, dir: dir, env: env, stdout: output, stderr: output})
	if err == nil && code != 0 {
		err = fmt.Errorf("exit status %d", code)
	}
	if err != nil {
		return fmt.Errorf("go %s in %s: %w", strings.Join(args, " "), dir, err)
	}
	return nil
}

func errNoGo(err error) error {
	return fmt.Errorf("find the Go toolchain, which compiles the program: %w: install Go and put it on PATH", err)
}
