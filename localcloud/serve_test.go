package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReadToken(t *testing.T) {
	dir := t.TempDir()
	file, empty := filepath.Join(dir, "token"), filepath.Join(dir, "empty")
	require.NoError(t, os.WriteFile(file, []byte("from file\n"), 0o600))
	require.NoError(t, os.WriteFile(empty, []byte("\n"), 0o600))
	tests := map[string]struct {
		path, variable string
		want, err      string
	}{
		"file":          {path: file, variable: "from variable", want: "from file"},
		"variable":      {variable: "from variable", want: "from variable"},
		"neither":       {err: "--token-file or set HCLOUD_TOKEN"},
		"empty file":    {path: empty, err: empty + " is empty"},
		"file not here": {path: filepath.Join(dir, "none"), variable: "from variable", err: "no such file"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv(tokenVariable, tt.variable)
			got, err := readToken(tt.path)
			if tt.err != "" {
				assert.ErrorContains(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.want, got)
		})
	}
}

func TestListenNamesTheAddressThatIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { assert.NoError(t, taken.Close()) }()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	err = listen(context.Background(), log, []endpoint{{"127.0.0.1:0", http.NotFoundHandler()}, {taken.Addr().String(), http.NotFoundHandler()}})
	assert.ErrorContains(t, err, taken.Addr().String())
}

func TestListenEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	assert.NoError(t, listen(ctx, log, []endpoint{{"127.0.0.1:0", http.NotFoundHandler()}}))
}
