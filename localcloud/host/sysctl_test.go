package host

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSettingsAreGivenBack(t *testing.T) {
	dir := t.TempDir()
	s := &Settings{memory: filepath.Join(dir, "run", "settings.json")}
	value := func(name string) string {
		content, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		return string(content)
	}
	path := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	changed, kept, others, gone := path("changed", "0\n"), path("kept", "1\n"), path("others", "0\n"), path("gone", "0\n")
	for range 2 { // as two starts do
		for _, p := range []string{changed, kept, others, gone} {
			require.NoError(t, s.Set(p, "1"))
		}
	}
	assert.Equal(t, "1", value("changed"))
	assert.Equal(t, "1\n", value("kept"), "not written: it had the value")
	require.NoError(t, s.Set(changed, "2"))
	require.NoError(t, os.WriteFile(others, []byte("7"), 0o600))
	require.NoError(t, os.Remove(gone))

	require.NoError(t, s.Restore())
	assert.Equal(t, "0", value("changed"), "what it was before the first change")
	assert.Equal(t, "1\n", value("kept"))
	assert.Equal(t, "7", value("others"), "somebody else has changed it since")
	assert.NoDirExists(t, filepath.Join(dir, "run"))
	require.NoError(t, os.WriteFile(changed, []byte("5"), 0o600))
	require.NoError(t, s.Restore(), "twice is no error")
	assert.Equal(t, "5", value("changed"))
	require.ErrorContains(t, s.Set(filepath.Join(dir, "nothing"), "1"), "nothing")

	few, many := path("few", "128\n"), path("many", "65536\n")
	require.NoError(t, s.atLeast(few, 8192))
	require.NoError(t, s.atLeast(many, 8192))
	assert.Equal(t, "8192", value("few"))
	assert.Equal(t, "65536\n", value("many"), "a higher number stays")
	require.NoError(t, s.Restore())
	assert.Equal(t, "128", value("few"))
	require.ErrorContains(t, s.atLeast(path("words", "none"), 1), "none")
}
