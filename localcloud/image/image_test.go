package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

func TestLayFiles(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, layFiles(dir))

	config, err := os.ReadFile(filepath.Join(dir, "etc/cloud/cloud.cfg.d/90-machine.cfg"))
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(config, &map[string]any{}))

	target, err := os.Readlink(filepath.Join(dir, "etc/systemd/system/systemd-udevd.service"))
	require.NoError(t, err)
	assert.Equal(t, "/dev/null", target)

	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := d.Info()
		require.NoError(t, err)
		if d.Type().IsRegular() {
			assert.EqualValues(t, 0o644, info.Mode().Perm(), path)
		} else if d.IsDir() && path != dir {
			assert.EqualValues(t, 0o755, info.Mode().Perm(), path)
		}
		return nil
	}))
}

func TestOnceStartsOverAfterAFailure(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made")
	half := func(dir string) error {
		return errors.Join(os.WriteFile(filepath.Join(dir, "half"), nil, 0o600), errors.New("interrupted"))
	}
	require.ErrorContains(t, once(dir, half), "interrupted")
	assert.NoDirExists(t, dir)

	whole := func(dir string) error { return os.WriteFile(filepath.Join(dir, "whole"), nil, 0o600) }
	require.NoError(t, once(dir, whole))
	assert.FileExists(t, filepath.Join(dir, "whole"))
	assert.NoFileExists(t, filepath.Join(dir, "half"))

	require.NoError(t, once(dir, func(string) error { return errors.New("built twice") }))
}

func TestFoothold(t *testing.T) {
	modes, links := map[string]int64{}, map[string]string{}
	for r := tar.NewReader(bytes.NewReader(foothold().content)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		modes[h.Name], links[h.Name] = h.Mode, h.Linkname
	}
	assert.EqualValues(t, 0o755, modes["machine-init"])
	// The shell that runs machine-init, its loader and its libraries.
	for _, dir := range []string{"bin", "lib", "lib64"} {
		assert.Equal(t, "image/"+dir, links[dir])
	}

	check := exec.Command("sh", "-n")
	check.Stdin = bytes.NewReader(machineInit)
	out, err := check.CombinedOutput()
	require.NoError(t, err, "machine-init: %s", out)
}
