//go:build e2e

package scenario

import (
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/e2e/stack"
	"hashistack/internal/names"
)

// anotherAddress is an operator whose own address has changed: the stack lets somebody else in, and not the one who runs the update.
// One update opens the firewall, although nothing inside of it can be asked before.
func (r *run) anotherAddress(t *testing.T) {
	up := []string{"up", "--yes", "--skip-preview"}
	vault := net.JoinHostPort(r.outputs.Machines["server-1"], strconv.Itoa(names.VaultPort))
	reached := func() error {
		connection, err := net.DialTimeout("tcp", vault, 2*time.Second)
		if err == nil {
			err = connection.Close()
		}
		return err
	}
	require.NoError(t, reached())

	closed := *r.stack
	require.NoError(t, closed.Configure(func(config map[string]any) error {
		config["hashistack:operators"] = []string{"9.9.9.9/32"}
		return nil
	}))
	_, err := closed.Operate(t.Context(), stack.Operation{Args: up})
	require.NoError(t, err)
	require.Error(t, reached(), "the firewall is closed to this host")

	events, err := r.stack.Operate(t.Context(), stack.Operation{Args: up})
	require.NoError(t, err)
	changes, err := stack.Changes(events)
	require.NoError(t, err)
	assert.Equal(t, 1, changes["update"], "the firewall of the servers, and nothing else: %v", changes)
	require.NoError(t, reached())
	require.NoError(t, r.outputs.Healthy(t.Context()))
}
