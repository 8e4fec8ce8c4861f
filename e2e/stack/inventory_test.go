package stack

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWithout(t *testing.T) {
	before := Inventory{"route: a": true, "volume: b": true}
	assert.Empty(t, before.without(before))
	assert.Equal(t, []string{"container: c", "file: d"}, Inventory{"route: a": true, "file: d": true, "container: c": true}.without(before))
}

func TestExecutables(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	assert.Equal(t, self, executables()[os.Getpid()])
}
