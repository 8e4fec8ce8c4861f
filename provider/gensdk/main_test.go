package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSDKIsUpToDate(t *testing.T) {
	const directory = "../../sdks/hashistack"
	files, err := generate()
	require.NoError(t, err)
	require.Contains(t, files, "vaultInit.go")
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(directory, name))
		require.NoError(t, err)
		assert.Equal(t, string(want), string(got), "%s: run `go generate .` in provider/", name)
	}
	// Nothing is left over from a resource that was renamed.
	require.NoError(t, filepath.WalkDir(directory, func(path string, _ os.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".go" {
			relative, _ := filepath.Rel(directory, path)
			assert.Contains(t, files, filepath.ToSlash(relative))
		}
		return err
	}))
}
