package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"

	"github.com/pulumi/pulumi/sdk/v3/go/common/constant"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

// host serves the engine's calls.
type host struct {
	pulumirpc.UnimplementedLanguageRuntimeServer

	// stopping ends when the engine cancels; every program and plugin ends with it.
	stopping context.Context
	cancel   context.CancelFunc

	children *children

	mu     sync.Mutex
	engine string // gRPC address of the engine
}

func newHost(engine string) *host {
	ctx, cancel := context.WithCancel(context.Background())
	return &host{stopping: ctx, cancel: cancel, children: &children{}, engine: engine}
}

// Handshake takes the engine's address.
func (h *host) Handshake(
	_ context.Context, r *pulumirpc.LanguageHandshakeRequest,
) (*pulumirpc.LanguageHandshakeResponse, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.engine = r.GetEngineAddress()
	return &pulumirpc.LanguageHandshakeResponse{}, nil
}

// GetRequiredPackages announces nothing: every Go SDK names its plugin's version with each resource, so the engine
// finds the plugin when the first one is registered.
func (h *host) GetRequiredPackages(
	context.Context, *pulumirpc.GetRequiredPackagesRequest,
) (*pulumirpc.GetRequiredPackagesResponse, error) {
	return &pulumirpc.GetRequiredPackagesResponse{}, nil
}

// GetRequiredPlugins is the older form of GetRequiredPackages.
func (h *host) GetRequiredPlugins(
	context.Context, *pulumirpc.GetRequiredPluginsRequest,
) (*pulumirpc.GetRequiredPluginsResponse, error) {
	return &pulumirpc.GetRequiredPluginsResponse{}, nil
}

// GetPluginInfo tells the version of the Pulumi SDK that the host is built with.
func (h *host) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == "github.com/pulumi/pulumi/sdk/v3" {
			return &pulumirpc.PluginInfo{Version: strings.TrimPrefix(module.Version, "v")}, nil
		}
	}
	return nil, errors.New("this program does not know which Pulumi SDK it was built with")
}

// Run compiles and runs the program of a stack, and returns when it has ended.
func (h *host) Run(ctx context.Context, r *pulumirpc.RunRequest) (*pulumirpc.RunResponse, error) {
	if r.GetAttachDebugger() {
		return nil, errNoDebugger
	}
	ctx, done := h.until(ctx)
	defer done()
	var messages bytes.Buffer
	binary, err := h.build(ctx, r.GetInfo(), &messages)
	if err != nil {
		// The compiler's messages are the user's to read: they go where the program's own output goes.
		_, _ = os.Stderr.Write(messages.Bytes())
		return &pulumirpc.RunResponse{Error: err.Error()}, nil
	}
	env, err := h.programEnv(r)
	if err != nil {
		return nil, err
	}
	code, err := h.children.run(ctx, command{
		path: binary, args: r.GetArgs(), dir: r.GetPwd(), env: env, stdout: os.Stdout, stderr: os.Stderr,
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("run the program %s: %w", binary, err)
	case code == constant.ExitStatusLoggedError:
		return &pulumirpc.RunResponse{Bail: true}, nil // the SDK has already reported what went wrong
	case code != 0:
		return &pulumirpc.RunResponse{Error: fmt.Sprintf("the program ended with exit status %d", code)}, nil
	}
	return &pulumirpc.RunResponse{}, nil
}

// programEnv is what the Go SDK's pulumi.Run reads.
func (h *host) programEnv(r *pulumirpc.RunRequest) ([]string, error) {
	config, err := json.Marshal(r.GetConfig())
	if err != nil {
		return nil, fmt.Errorf("encode the stack's config: %w", err)
	}
	secretKeys, err := json.Marshal(r.GetConfigSecretKeys())
	if err != nil {
		return nil, fmt.Errorf("encode the stack's secret config keys: %w", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return append(os.Environ(),
		pulumi.EnvOrganization+"="+r.GetOrganization(),
		pulumi.EnvProject+"="+r.GetProject(),
		pulumi.EnvPulumiRootDirectory+"="+r.GetInfo().GetRootDirectory(),
		pulumi.EnvStack+"="+r.GetStack(),
		pulumi.EnvConfig+"="+string(config),
		pulumi.EnvConfigSecretKeys+"="+string(secretKeys),
		pulumi.EnvDryRun+"="+strconv.FormatBool(r.GetDryRun()),
		pulumi.EnvParallel+"="+strconv.Itoa(int(r.GetParallel())),
		pulumi.EnvMonitor+"="+r.GetMonitorAddress(),
		pulumi.EnvEngine+"="+h.engine,
	), nil
}

// RunPlugin compiles a plugin from source and runs it until the engine ends the call, passing on what it writes.
func (h *host) RunPlugin(
	r *pulumirpc.RunPluginRequest, stream grpc.ServerStreamingServer[pulumirpc.RunPluginResponse],
) error {
	if r.GetAttachDebugger() {
		return errNoDebugger
	}
	ctx, done := h.until(stream.Context())
	defer done()
	var messages bytes.Buffer
	binary, err := h.build(ctx, r.GetInfo(), &messages)
	if err != nil {
		// The engine hides what a plugin writes: the messages must be part of the error.
		return fmt.Errorf("%w\n%s", err, messages.String())
	}
	var mu sync.Mutex // a stream takes one message at a time
	code, err := h.children.run(ctx, command{
		path: binary, args: r.GetArgs(), dir: r.GetPwd(), env: r.GetEnv(),
		stdout: writer(func(b []byte) error {
			mu.Lock()
			defer mu.Unlock()
			return stream.Send(&pulumirpc.RunPluginResponse{
				Output: &pulumirpc.RunPluginResponse_Stdout{Stdout: b},
			})
		}),
		stderr: writer(func(b []byte) error {
			mu.Lock()
			defer mu.Unlock()
			return stream.Send(&pulumirpc.RunPluginResponse{
				Output: &pulumirpc.RunPluginResponse_Stderr{Stderr: b},
			})
		}),
	})
	if err != nil {
		return fmt.Errorf("run the plugin %s: %w", binary, err)
	}
	return stream.Send(&pulumirpc.RunPluginResponse{
		Output: &pulumirpc.RunPluginResponse_Exitcode{Exitcode: int32(code)}, //nolint:gosec // -1…255
	})
}

// InstallDependencies downloads the modules of a program or plugin.
func (h *host) InstallDependencies(
	r *pulumirpc.InstallDependenciesRequest, stream grpc.ServerStreamingServer[pulumirpc.InstallDependenciesResponse],
) error {
	ctx, done := h.until(stream.Context())
	defer done()
	output := writer(func(b []byte) error {
		return stream.Send(&pulumirpc.InstallDependenciesResponse{Stderr: b})
	})
	dir := r.GetInfo().GetProgramDirectory()
	return h.goTool(ctx, dir, output, "mod", "download")
}

// About tells which Go toolchain compiles the programs.
func (h *host) About(ctx context.Context, _ *pulumirpc.AboutRequest) (*pulumirpc.AboutResponse, error) {
	path, err := exec.LookPath("go")
	if err != nil {
		return nil, errNoGo(err)
	}
	var version bytes.Buffer
	if err := h.goTool(ctx, "", &version, "env", "GOVERSION"); err != nil {
		return nil, err
	}
	return &pulumirpc.AboutResponse{Executable: path, Version: strings.TrimSpace(version.String())}, nil
}

// GetProgramDependencies lists the modules that a program requires.
func (h *host) GetProgramDependencies(
	ctx context.Context, r *pulumirpc.GetProgramDependenciesRequest,
) (*pulumirpc.GetProgramDependenciesResponse, error) {
	format := "{{if not (or .Main .Indirect)}}{{.Path}} {{.Version}}{{end}}"
	if r.GetTransitiveDependencies() {
		format = "{{if not .Main}}{{.Path}} {{.Version}}{{end}}"
	}
	var list bytes.Buffer
	if err := h.goTool(ctx, r.GetInfo().GetProgramDirectory(), &list, "list", "-m", "-f", format, "all"); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, list.String())
	}
	response := &pulumirpc.GetProgramDependenciesResponse{}
	for line := range strings.Lines(list.String()) {
		if name, version, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			response.Dependencies = append(response.Dependencies,
				&pulumirpc.DependencyInfo{Name: name, Version: version})
		}
	}
	return response, nil
}

// RuntimeOptionsPrompts asks nothing in `pulumi new`.
func (h *host) RuntimeOptionsPrompts(
	context.Context, *pulumirpc.RuntimeOptionsRequest,
) (*pulumirpc.RuntimeOptionsResponse, error) {
	return &pulumirpc.RuntimeOptionsResponse{}, nil
}

// Cancel asks every program and plugin to end.
func (h *host) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	h.cancel()
	return &emptypb.Empty{}, nil
}

// until returns a context that ends with the call or when the engine cancels, whichever comes first.
func (h *host) until(call context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(call)
	stop := context.AfterFunc(h.stopping, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

var errNoDebugger = errors.New("this language host cannot attach a debugger: leave out --attach-debugger")

// writer makes an io.Writer of a function.
type writer func([]byte) error

func (w writer) Write(b []byte) (int, error) {
	if err := w(b); err != nil {
		return 0, err
	}
	return len(b), nil
}
