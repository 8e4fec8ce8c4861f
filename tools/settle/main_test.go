package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFindProject(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	project, inside := filepath.Join(root, "project"), filepath.Join(root, "project", "a", "b")
	require.NoError(t, os.MkdirAll(inside, 0o700))
	_, err = findProject(inside)
	require.ErrorContains(t, err, "no Pulumi.yaml here or in a folder above")

	require.NoError(t, os.WriteFile(filepath.Join(project, "Pulumi.yaml"), nil, 0o600))
	link := filepath.Join(root, "link")
	require.NoError(t, os.Symlink(inside, link))
	for _, dir := range []string{project, inside, link} {
		found, err := findProject(dir)
		require.NoError(t, err, dir)
		assert.Equal(t, project, found, dir)
	}
}

// A stack that is named without the flag must not be taken for the one that is selected.
func TestRunTakesNoArguments(t *testing.T) {
	require.EqualError(t, run(t.Context(), "", []string{"prod"}), `argument "prod": there are none; name a stack with --stack`)
}

func TestPulumiIsToldTheStack(t *testing.T) {
	assert.Equal(t, []string{"pulumi", "stack", "export", "--non-interactive", "--stack", "prod"}, pulumi(t.Context(), "/", "prod", "stack", "export").Args)
	assert.Equal(t, []string{"pulumi", "stack", "export", "--non-interactive"}, pulumi(t.Context(), "/", "", "stack", "export").Args)
}
