package token_test

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/property"
	"github.com/stretchr/testify/assert"

	"hashistack/provider/internal/rig"
)

func TestCheck(t *testing.T) {
	good := rig.Good(t)["ConsulToken"]
	for name, c := range map[string]struct {
		path  string
		value any
		want  string
	}{
		"no description":  {"description", "", "must not be empty"},
		"no policy":       {"policies", []any{}, "must name at least one policy, and none by an empty name, got []"},
		"an empty policy": {"policies", []any{""}, `must name at least one policy, and none by an empty name, got [""]`},
		"no UUID":         {"secretId", "too-short", "must be a UUID like 8f2d7b64-…, got 9 characters of another form"},
		"no token":        {"cluster.token", "", "must not be empty"},
	} {
		refused := rig.New(t.Context(), t, "ConsulToken", "r").Refused(property.Map{}, rig.With(good, c.path, c.value))
		assert.Equal(t, map[string]string{c.path: c.want}, refused, name)
	}
}

// The engine gets the next token before the one of before goes: so that is deleted last.
func TestAnotherSecretIsAnotherToken(t *testing.T) {
	subject := rig.New(t.Context(), t, "ConsulToken", "r")
	inputs := rig.Good(t)["ConsulToken"]
	state := subject.State(inputs)
	diff := subject.Diff(state, inputs, rig.With(inputs, "secretId", rig.OtherSecret))
	assert.True(t, diff.HasChanges)
	assert.False(t, diff.DeleteBeforeReplace)
	assert.Equal(t, "update&replace", string(diff.DetailedDiff["secretId"].Kind))
	for path, value := range map[string]any{"description": "another", "policies": []any{"another"}, "cluster.token": rig.OtherSecret} {
		diff := subject.Diff(state, inputs, rig.With(inputs, path, value))
		assert.True(t, diff.HasChanges, path)
		for _, change := range diff.DetailedDiff {
			assert.Equal(t, "update", string(change.Kind), path)
		}
	}
}
