//go:build e2e

package scenario

import (
	"testing"

	"github.com/stretchr/testify/require"

	"hashistack/e2e/rotation"
	"hashistack/e2e/stack"
)

// TestRotation is the brief form of `make prove-rotation`: everything is issued anew while it is in use.
func TestRotation(t *testing.T) {
	s, err := stack.Open()
	require.NoError(t, err)
	require.False(t, s.IsUp(), "a local stack is up: run `make down` first")
	steps, err := rotation.Choose(nil, true)
	require.NoError(t, err)
	require.NoError(t, rotation.Prove(t.Context(), s, steps, t.TempDir()))
}
