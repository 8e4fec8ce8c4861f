package machinetest

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// Product is the path of a pinned binary that `tools/build` puts into .tools/bin.
func Product(t *testing.T, name string) string {
	t.Helper()
	_, here, _, ok := runtime.Caller(0)
	require.True(t, ok)
	binary, err := filepath.Abs(filepath.Join(filepath.Dir(here), "../../../.tools/bin", name))
	require.NoError(t, err)
	_, err = os.Stat(binary)
	require.NoError(t, err, "run `tools/build %s`", name)
	return binary
}

// FreePorts returns ports that nothing listens on.
func FreePorts(t *testing.T, count int) []string {
	t.Helper()
	ports := make([]string, count)
	for i := range ports {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer func() { _ = listener.Close() }()
		ports[i] = strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	}
	return ports
}
