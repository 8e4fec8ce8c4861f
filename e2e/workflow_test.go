package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// TestWorkflowsKeepForksOut: a self-hosted runner is a machine of ours, with root, and code of a fork would own it.
func TestWorkflowsKeepForksOut(t *testing.T) {
	paths, err := filepath.Glob("../.github/workflows/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		var workflow struct {
			On          map[string]any `yaml:"on"`
			Concurrency struct {
				Group string `yaml:"group"`
			} `yaml:"concurrency"`
			Jobs map[string]struct {
				If     string `yaml:"if"`
				RunsOn any    `yaml:"runs-on"`
			} `yaml:"jobs"`
		}
		require.NoError(t, yaml.Unmarshal(content, &workflow), path)
		assert.NotContains(t, workflow.On, "pull_request_target", "it gives code of a fork our secrets")
		assert.Contains(t, workflow.Concurrency.Group, "github.ref", "%s: one pull request must not cancel another one's run", path)
		for name, job := range workflow.Jobs {
			if labels, _ := job.RunsOn.([]any); slices.Contains(labels, any("self-hosted")) {
				assert.Equal(t, "github.event_name == 'push' || github.event.pull_request.head.repo.full_name == github.repository", job.If,
					"%s: job %s", path, name)
			}
		}
	}
}
