package api_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// pluginVariable names the plugin's binary, where it is not among the tools of this repository.
const pluginVariable = "LOCALCLOUD_PLUGIN"

// props are the inputs or outputs of a resource.
type props = map[string]any

// plugin is the running plugin, configured for one cloud.
type plugin struct {
	t      *testing.T
	ctx    context.Context
	client pulumirpc.ResourceProviderClient
}

// resource is what the engine keeps in its state about a resource.
type resource struct {
	urn, id         string
	inputs, outputs *structpb.Struct
}

func startPlugin(t *testing.T, endpoint, token string) *plugin {
	t.Helper()
	path := os.Getenv(pluginVariable)
	if path == "" {
		found, err := filepath.Glob("../../.tools/pulumi/plugins/resource-hcloud-*/pulumi-resource-hcloud")
		require.NoError(t, err)
		require.NotEmpty(t, found, "no plugin to test with: build it with `tools/build pulumi-resource-hcloud` or name it in %s", pluginVariable)
		path = found[0]
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)

	cmd := exec.CommandContext(ctx, path, engine(t))
	cmd.Stderr = io.Discard
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	port, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err, "the plugin prints its port")

	conn, err := grpc.NewClient("127.0.0.1:"+strings.TrimSpace(port), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	p := &plugin{t: t, ctx: ctx, client: pulumirpc.NewResourceProviderClient(conn)}
	config := props{"token": token, "endpoint": endpoint, "pollInterval": "20ms"}
	_, err = p.client.Configure(ctx, &pulumirpc.ConfigureRequest{Args: p.pack(config), AcceptSecrets: false})
	require.NoError(t, err)
	return p
}

// engine listens for what the plugin logs, in place of Pulumi's engine, and returns its address.
func engine(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	pulumirpc.RegisterEngineServer(server, &engineLog{t: t})
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

type engineLog struct {
	pulumirpc.UnimplementedEngineServer
	t *testing.T
}

func (e *engineLog) Log(_ context.Context, r *pulumirpc.LogRequest) (*emptypb.Empty, error) {
	if r.Severity >= pulumirpc.LogSeverity_WARNING {
		e.t.Logf("plugin: %s %s", r.Severity, r.Message)
	}
	return &emptypb.Empty{}, nil
}

func (p *plugin) pack(values props) *structpb.Struct {
	p.t.Helper()
	packed, err := structpb.NewStruct(values)
	require.NoError(p.t, err)
	return packed
}

// check has the plugin check and complete the inputs of a resource: every operation begins with that.
func (p *plugin) check(urn string, old *structpb.Struct, inputs props) *structpb.Struct {
	p.t.Helper()
	if old == nil {
		old = p.pack(nil)
	}
	checked, err := p.client.Check(p.ctx, &pulumirpc.CheckRequest{Urn: urn, Olds: old, News: p.pack(inputs), RandomSeed: make([]byte, 32)})
	require.NoError(p.t, err)
	require.Empty(p.t, checked.Failures, "%s", urn)
	return checked.Inputs
}

func (p *plugin) create(token, name string, inputs props) *resource {
	p.t.Helper()
	urn := fmt.Sprintf("urn:pulumi:test::localcloud::%s::%s", token, name)
	checked := p.check(urn, nil, inputs)
	made, err := p.client.Create(p.ctx, &pulumirpc.CreateRequest{Urn: urn, Properties: checked})
	require.NoError(p.t, err, "create %s", urn)
	return &resource{urn: urn, id: made.Id, inputs: checked, outputs: made.Properties}
}

// refresh reads the resource anew, as `pulumi refresh` does, and reports whether it is still there.
func (p *plugin) refresh(r *resource) bool {
	p.t.Helper()
	read, err := p.client.Read(p.ctx, &pulumirpc.ReadRequest{Id: r.id, Urn: r.urn, Properties: r.outputs, Inputs: r.inputs})
	require.NoError(p.t, err, "read %s", r.urn)
	if read.Id == "" {
		return false
	}
	r.inputs, r.outputs = read.Inputs, read.Properties
	return true
}

// diff says what an `up` with these inputs would change.
func (p *plugin) diff(r *resource, inputs props) *pulumirpc.DiffResponse {
	p.t.Helper()
	checked := p.check(r.urn, r.inputs, inputs)
	diff, err := p.client.Diff(p.ctx, &pulumirpc.DiffRequest{Id: r.id, Urn: r.urn, Olds: r.outputs, News: checked, OldInputs: r.inputs})
	require.NoError(p.t, err, "diff %s", r.urn)
	return diff
}

func (p *plugin) update(r *resource, inputs props) {
	p.t.Helper()
	checked := p.check(r.urn, r.inputs, inputs)
	updated, err := p.client.Update(p.ctx, &pulumirpc.UpdateRequest{
		Id: r.id, Urn: r.urn, Olds: r.outputs, News: checked, OldInputs: r.inputs,
	})
	require.NoError(p.t, err, "update %s", r.urn)
	r.inputs, r.outputs = checked, updated.Properties
}

func (p *plugin) delete(r *resource) {
	p.t.Helper()
	_, err := p.client.Delete(p.ctx, &pulumirpc.DeleteRequest{Id: r.id, Urn: r.urn, Properties: r.outputs, OldInputs: r.inputs})
	require.NoError(p.t, err, "delete %s", r.urn)
}
