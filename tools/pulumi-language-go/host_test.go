package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// serveHost runs a host and returns a client as the engine has it.
func serveHost(t *testing.T) (*host, pulumirpc.LanguageRuntimeClient) {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	// The toolchain's caches stay where they are, or every test would compile the standard library.
	h := newHost("engine.example:1")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	pulumirpc.RegisterLanguageRuntimeServer(server, h)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	connection, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	return h, pulumirpc.NewLanguageRuntimeClient(connection)
}

// program writes a Go program and returns how the engine describes it.
func program(t *testing.T, body string) *pulumirpc.ProgramInfo {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module program\n\ngo 1.26\n"), 0o600))
	source := "package main\n\nimport (\n\t\"fmt\"\n\t\"os\"\n\t\"time\"\n)\n\n" +
		"var _ = []any{fmt.Sprint, os.Exit, time.Now}\n\nfunc main() {\n" + body + "\n}\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o600))
	return &pulumirpc.ProgramInfo{RootDirectory: dir, ProgramDirectory: dir, EntryPoint: "."}
}

func TestMain(m *testing.M) {
	// Before a test moves the user's cache folder, pin the toolchain's.
	if os.Getenv("GOCACHE") == "" {
		if cache, err := os.UserCacheDir(); err == nil {
			_ = os.Setenv("GOCACHE", filepath.Join(cache, "go-build"))
		}
	}
	os.Exit(m.Run())
}

func TestRun(t *testing.T) {
	_, client := serveHost(t)
	for _, c := range []struct {
		name, body string
		want       *pulumirpc.RunResponse
		wantError  string
	}{
		{name: "success", body: `if os.Getenv("PULUMI_STACK") != "prod" || os.Getenv("PULUMI_DRY_RUN") != "true" ||
			os.Getenv("PULUMI_CONFIG") != "{\"a:b\":\"c\"}" || os.Getenv("PULUMI_ENGINE") != "engine.example:1" { os.Exit(3) }`},
		{name: "an error that the SDK has reported", body: `os.Exit(32)`, want: &pulumirpc.RunResponse{Bail: true}},
		{name: "another error", body: `os.Exit(3)`, wantError: "exit status 3"},
		{name: "a compile error", body: `nonsense`, wantError: "go build"},
	} {
		t.Run(c.name, func(t *testing.T) {
			info := program(t, c.body)
			r, err := client.Run(context.Background(), &pulumirpc.RunRequest{
				Info: info, Pwd: info.GetProgramDirectory(), Stack: "prod", DryRun: true, Config: map[string]string{"a:b": "c"},
			})
			require.NoError(t, err)
			if c.wantError != "" {
				assert.Contains(t, r.GetError(), c.wantError)
				return
			}
			assert.Empty(t, r.GetError())
			assert.Equal(t, c.want.GetBail(), r.GetBail())
		})
	}
}

func TestUnchangedProgramIsNotBuiltAgain(t *testing.T) {
	h, _ := serveHost(t)
	info := program(t, "")
	first, err := h.build(context.Background(), info, os.Stderr)
	require.NoError(t, err)
	before, err := os.Stat(first)
	require.NoError(t, err)
	second, err := h.build(context.Background(), info, os.Stderr)
	require.NoError(t, err)
	assert.Equal(t, first, second)
	after, err := os.Stat(second)
	require.NoError(t, err)
	assert.True(t, os.SameFile(before, after), "the binary was written anew")

	require.NoError(t, os.WriteFile(filepath.Join(info.GetProgramDirectory(), "more.go"), []byte("package main\n\nfunc init() { println(1) }\n"), 0o600))
	_, err = h.build(context.Background(), info, os.Stderr)
	require.NoError(t, err)
	changed, err := os.Stat(first)
	require.NoError(t, err)
	assert.False(t, os.SameFile(before, changed), "the changed program was not built")
}

func TestUnknownRuntimeOption(t *testing.T) {
	h, _ := serveHost(t)
	options, err := structpb.NewStruct(map[string]any{"buildTarget": "x"})
	require.NoError(t, err)
	_, err = h.build(context.Background(), &pulumirpc.ProgramInfo{Options: options}, os.Stderr)
	assert.ErrorContains(t, err, `"buildTarget"`)
}

func TestRunPlugin(t *testing.T) {
	_, client := serveHost(t)
	info := program(t, `fmt.Println("to stdout", os.Args[1:], os.Getenv("GIVEN")); fmt.Fprintln(os.Stderr, "to stderr"); os.Exit(7)`)
	stream, err := client.RunPlugin(context.Background(), &pulumirpc.RunPluginRequest{
		Info: info, Pwd: info.GetProgramDirectory(), Args: []string{"arg"}, Env: []string{"GIVEN=value"},
	})
	require.NoError(t, err)
	var stdout, stderr string
	for {
		r, err := stream.Recv()
		require.NoError(t, err)
		stdout += string(r.GetStdout())
		stderr += string(r.GetStderr())
		if code, ok := r.GetOutput().(*pulumirpc.RunPluginResponse_Exitcode); ok {
			assert.EqualValues(t, 7, code.Exitcode)
			break
		}
	}
	assert.Equal(t, "to stdout [arg] value\n", stdout)
	assert.Equal(t, "to stderr\n", stderr)

	broken := program(t, "nonsense")
	stream, err = client.RunPlugin(context.Background(), &pulumirpc.RunPluginRequest{Info: broken})
	require.NoError(t, err)
	_, err = stream.Recv()
	assert.ErrorContains(t, err, "undefined: nonsense", "the engine shows nothing but the error")
}

// startPlugin runs a plugin that stays until it is stopped, and returns its process id.
func startPlugin(ctx context.Context, t *testing.T, client pulumirpc.LanguageRuntimeClient) int {
	t.Helper()
	info := program(t, `fmt.Println(os.Getpid()); time.Sleep(time.Hour)`)
	stream, err := client.RunPlugin(ctx, &pulumirpc.RunPluginRequest{Info: info, Env: os.Environ()})
	require.NoError(t, err)
	r, err := stream.Recv()
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(r.GetStdout())))
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, 0))
	return pid
}

// requireGone waits until a process has ended.
func requireGone(t *testing.T, pid int) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		assert.Error(c, syscall.Kill(pid, 0), "process %d still runs", pid)
	}, 10*time.Second, 50*time.Millisecond)
}

func TestPluginEnds(t *testing.T) {
	h, client := serveHost(t)
	t.Run("with its call", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		pid := startPlugin(ctx, t, client)
		cancel()
		requireGone(t, pid)
	})
	t.Run("with the host", func(t *testing.T) {
		pid := startPlugin(t.Context(), t, client)
		h.children.killAll()
		requireGone(t, pid)
		h.children.mu.Unlock() // a host exits after killAll; this one is still needed
	})
	t.Run("when the engine cancels", func(t *testing.T) {
		pid := startPlugin(t.Context(), t, client)
		_, err := client.Cancel(context.Background(), &emptypb.Empty{})
		require.NoError(t, err)
		requireGone(t, pid)
	})
}

func TestPluginInfo(t *testing.T) {
	_, client := serveHost(t)
	about, err := client.About(context.Background(), &pulumirpc.AboutRequest{})
	require.NoError(t, err)
	assert.Regexp(t, `^go1\.`, about.GetVersion())
	info := program(t, "")
	dependencies, err := client.GetProgramDependencies(context.Background(),
		&pulumirpc.GetProgramDependenciesRequest{Info: info})
	require.NoError(t, err)
	assert.Empty(t, dependencies.GetDependencies())
}
