package main

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The state of a stack whose update was killed while it created server-2. The list also has the creation of server-1,
// left by an older update: server-1 is in the state by now.
const killed = `{"version": 3, "deployment": {
  "manifest": {"magic": "kept"},
  "resources": [
    {"urn": "urn:pulumi:local::hashistack::pulumi:providers:hcloud::default", "type": "pulumi:providers:hcloud", "id": "p",
     "inputs": {"endpoint": %q, "token": {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "plaintext": "\"secret-token\""}}},
    {"urn": "urn:pulumi:local::hashistack::hcloud:index/server:Server::server-1", "type": "hcloud:index/server:Server", "id": "1"}
  ],
  "pending_operations": [
    {"type": "creating", "resource": {"urn": "urn:pulumi:local::hashistack::hcloud:index/network:Network::net", "type": "hcloud:index/network:Network",
     "provider": "urn:pulumi:local::hashistack::pulumi:providers:hcloud::default::p", "inputs": {"name": "net", "labels": {"stack": "local"}}}},
    {"type": "creating", "resource": {"urn": "urn:pulumi:local::hashistack::hcloud:index/server:Server::server-2", "type": "hcloud:index/server:Server",
     "provider": "urn:pulumi:local::hashistack::pulumi:providers:hcloud::default::p", "inputs": {"name": "server-2", "labels": {"stack": "local"}}}},
    {"type": "creating", "resource": {"urn": "urn:pulumi:local::hashistack::hcloud:index/server:Server::server-1", "type": "hcloud:index/server:Server",
     "provider": "urn:pulumi:local::hashistack::pulumi:providers:hcloud::default::p", "inputs": {"name": "server-1", "labels": {"stack": "local"}}}},
    {"type": "creating", "resource": {"urn": "urn:pulumi:local::hashistack::tls:index/privateKey:PrivateKey::key", "type": "tls:index/privateKey:PrivateKey"}},
    {"type": "deleting", "resource": {"urn": "urn:pulumi:local::hashistack::hcloud:index/server:Server::server-3", "type": "hcloud:index/server:Server"}}
  ]
}}`

// hetzner answers as Hetzner's API does and remembers what it was told to delete.
type hetzner struct {
	labels  map[string]string // of server-2
	exists  bool
	deleted []string
}

func (h *hetzner) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	answer := map[string]any{}
	switch {
	case r.Header.Get("Authorization") != "Bearer secret-token":
		w.WriteHeader(http.StatusUnauthorized)
		answer["error"] = map[string]string{"code": "unauthorized", "message": "token"}
	case r.Method == http.MethodDelete:
		h.deleted = append(h.deleted, r.URL.Path)
		answer["action"] = map[string]any{"id": 7, "status": "success", "command": "delete_server"}
	case r.URL.Path == "/servers" && h.exists && r.URL.Query().Get("name") == "server-2":
		answer["servers"] = []any{map[string]any{"id": 2, "name": "server-2", "labels": h.labels}}
	case r.URL.Path == "/servers" && r.URL.Query().Get("name") == "server-1":
		answer["servers"] = []any{map[string]any{"id": 1, "name": "server-1", "labels": h.labels}}
	case r.URL.Path == "/servers":
		answer["servers"] = []any{}
	case r.URL.Path == "/networks":
		answer["networks"] = []any{}
	}
	_ = json.NewEncoder(w).Encode(answer) // a test's server: its client will notice
}

// stackWith is a stack in a file, behind a pulumi that knows export and import only.
func stackWith(t *testing.T, endpoint string) (Options, *strings.Builder, string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "state.json")
	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(killed, "%q", `"`+endpoint+`"`, 1)), 0o600))
	var out strings.Builder
	return Options{Project: dir, Out: &out, Command: func(ctx context.Context, args ...string) *exec.Cmd {
		if args[1] == "import" {
			return exec.CommandContext(ctx, "cp", args[3], file)
		}
		return exec.CommandContext(ctx, "cat", file)
	}}, &out, file
}

func TestRunDeletesWhatNothingRefersTo(t *testing.T) {
	cloud := &hetzner{exists: true, labels: map[string]string{"stack": "local"}}
	server := httptest.NewServer(cloud)
	defer server.Close()
	opts, out, file := stackWith(t, server.URL)

	require.NoError(t, Run(t.Context(), opts))
	assert.Equal(t, []string{"/servers/2"}, cloud.deleted)
	assert.Contains(t, out.String(), "server-2: deleted server-2 (ID 2)")
	assert.Contains(t, out.String(), "server-1: was not created, is the stack's by now")
	assert.Contains(t, out.String(), "net: was not created")
	assert.Contains(t, out.String(), "server-3: the next update does it again")

	settled, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.NotContains(t, string(settled), "pending_operations")
	assert.Contains(t, string(settled), `"magic":"kept"`)
	assert.Contains(t, string(settled), "server-1")

	out.Reset()
	require.NoError(t, Run(t.Context(), opts), "a settled stack")
	assert.Empty(t, out.String())
}

func TestRunLeavesAloneWhatIsNotOurs(t *testing.T) {
	cloud := &hetzner{exists: true, labels: map[string]string{"stack": "prod"}}
	server := httptest.NewServer(cloud)
	defer server.Close()
	opts, _, file := stackWith(t, server.URL)

	err := Run(t.Context(), opts)
	require.ErrorContains(t, err, `"server-2" (ID 2) exists and is not of this stack: its label stack is "prod", not "local"`)
	assert.Empty(t, cloud.deleted)
	state, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Contains(t, string(state), "pending_operations", "what is not settled stays listed")
}

func TestStopOrphansEndsOnlyPluginsWithoutEngine(t *testing.T) {
	project := t.TempDir()
	alive, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer alive.Close() //nolint:errcheck // it has done its part
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, gone.Close())

	start := func(dir string, environ string, args ...string) *exec.Cmd {
		cmd := exec.Command("bash", append([]string{"-c", "read -r < <(sleep infinity)"}, args...)...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), environ)
		require.NoError(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		return cmd
	}
	working := start(project, "", "plugin", alive.Addr().String())
	elsewhere := start(t.TempDir(), "", "plugin", gone.Addr().String())
	plain := start(project, "", "editor")
	plugin := start(project, "", "plugin", gone.Addr().String())
	program := start(project, "PULUMI_ENGINE="+gone.Addr().String(), "program")

	var out strings.Builder
	done := make(chan error, 1)
	go func() { done <- stopOrphans(t.Context(), project, &out) }()
	for _, orphan := range []*exec.Cmd{plugin, program} {
		require.ErrorContains(t, orphan.Wait(), "killed")
	}
	require.NoError(t, <-done)
	for name, cmd := range map[string]*exec.Cmd{"with an engine": working, "of another project": elsewhere, "no plugin": plain} {
		assert.NoError(t, cmd.Process.Signal(syscall.Signal(0)), name)
	}
}
