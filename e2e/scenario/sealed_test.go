//go:build e2e

package scenario

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"hashistack/e2e/stack"
	"hashistack/internal/names"
	"hashistack/internal/poll"
)

// sealed seals the Vault that a client asks first. The client goes on to the next, and an update unseals it.
func (r *run) sealed(t *testing.T) {
	ctx := t.Context()
	onClient := func(ctx context.Context, script string) (string, error) {
		out, err := r.stack.OnMachine(ctx, "client-1", "bash", "-c", script)
		return strings.TrimSpace(string(out)), err
	}
	first, err := onClient(ctx, "getent ahostsv4 "+names.VaultName+" | awk '{print $1; exit}'")
	require.NoError(t, err)
	server := ""
	for _, name := range r.outputs.Members("server") {
		if _, err := r.stack.OnMachine(ctx, name, "bash", "-c", "hostname -I | grep --quiet --word-regexp "+first); err == nil {
			server = name
		}
	}
	require.NotEmpty(t, server, "whose address is %s", first)
	asks := func() error { // as the client's agents do, by the name that all Vaults have
		_, err := onClient(ctx, "curl --silent --show-error --fail --max-time 5 --cacert "+names.CAFile+" '"+names.VaultAddress()+"/v1/sys/health?standbyok=true'")
		return err
	}
	takes := func(ctx context.Context) error {
		_, err := onClient(ctx, fmt.Sprintf("timeout 3 bash -c 'exec 3<>/dev/tcp/%s/%d'", first, names.VaultPort))
		return err
	}
	require.NoError(t, takes(ctx))
	require.NoError(t, asks())

	vault, err := r.outputs.VaultAt(names.HTTPS(r.outputs.Machines[server], names.VaultPort))
	require.NoError(t, err)
	if leader, err := vault.Sys().LeaderWithContext(ctx); err == nil && leader.IsSelf {
		require.NoError(t, vault.Sys().StepDownWithContext(ctx))
	}
	_, err = r.stack.OnMachine(ctx, server, "systemctl", "restart", "vault") // sealed by that
	require.NoError(t, err)
	require.NoError(t, poll.Until(ctx, 20*time.Second, "the sealed Vault of "+server+" to take no connections", func(ctx context.Context) error {
		if takes(ctx) == nil {
			return errors.New("it does")
		}
		return nil
	}))
	require.NoError(t, poll.Until(ctx, 20*time.Second, "the client to be answered by the next", func(context.Context) error { return asks() }))

	_, err = r.stack.Operate(ctx, stack.Operation{Args: []string{"up", "--yes", "--skip-preview", "--refresh", "--target", "**:VaultUnseal::**"}})
	require.NoError(t, err, "operators come by another address")
	require.NoError(t, poll.Until(ctx, 20*time.Second, "the Vault of "+server+" to take connections", takes))
	require.NoError(t, r.outputs.Healthy(ctx))
}
