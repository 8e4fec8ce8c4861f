package pulumitest

import (
	"context"
	"net"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// monitor is the engine that a program talks to, in front of a Recorder. Pulumi's own for tests, pulumi.WithMocks,
// refuses secrets that are not known yet, of which a first preview is full, and keeps the outputs of components and of
// the stack to itself.
type monitor struct {
	pulumirpc.UnimplementedResourceMonitorServer
	pulumirpc.UnimplementedEngineServer

	cloud *Recorder
}

// serve starts an engine for as long as the test runs, and returns its address.
func serve(t *testing.T, cloud *Recorder) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server, engine := grpc.NewServer(), &monitor{cloud: cloud}
	pulumirpc.RegisterResourceMonitorServer(server, engine)
	pulumirpc.RegisterEngineServer(server, engine)
	go func() { _ = server.Serve(listener) }() // ends with Stop, without an error
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

// everything is how values cross the wire: unknowns stay unknown and secrets secret.
var everything = plugin.MarshalOptions{KeepUnknowns: true, KeepSecrets: true, KeepResources: true}

func marshal(values resource.PropertyMap) (*structpb.Struct, error) {
	return plugin.MarshalProperties(values, everything)
}

func unmarshal(values *structpb.Struct) (resource.PropertyMap, error) {
	return plugin.UnmarshalProperties(values, everything)
}

func (m *monitor) GetDeploymentInfo(context.Context, *emptypb.Empty) (*pulumirpc.DeploymentInfo, error) {
	return &pulumirpc.DeploymentInfo{
		Project: Project, Stack: Stack,
		SupportedFeatures: []pulumirpc.ResourceMonitorFeature{
			pulumirpc.ResourceMonitorFeature_RESOURCE_MONITOR_FEATURE_SECRETS,
			pulumirpc.ResourceMonitorFeature_RESOURCE_MONITOR_FEATURE_RESOURCE_REFERENCES,
			pulumirpc.ResourceMonitorFeature_RESOURCE_MONITOR_FEATURE_ALIAS_SPECS,
			pulumirpc.ResourceMonitorFeature_RESOURCE_MONITOR_FEATURE_REPLACEMENT_TRIGGER,
			pulumirpc.ResourceMonitorFeature_RESOURCE_MONITOR_FEATURE_DELETED_WITH,
			pulumirpc.ResourceMonitorFeature_RESOURCE_MONITOR_FEATURE_REPLACE_WITH,
			pulumirpc.ResourceMonitorFeature_RESOURCE_MONITOR_FEATURE_PARAMETERIZATION,
			pulumirpc.ResourceMonitorFeature_RESOURCE_MONITOR_FEATURE_RESOURCE_HOOKS,
		},
	}, nil
}

func (m *monitor) RegisterResource(
	_ context.Context, in *pulumirpc.RegisterResourceRequest,
) (*pulumirpc.RegisterResourceResponse, error) {
	response := &pulumirpc.RegisterResourceResponse{Urn: urn(in.GetParent(), in.GetType(), in.GetName())}
	if in.GetType() == string(resource.RootStackType) {
		return response, nil
	}
	inputs, err := unmarshal(in.GetObject())
	if err != nil {
		return nil, err
	}
	id, outputs, err := m.cloud.NewResource(pulumi.MockResourceArgs{
		TypeToken: in.GetType(), Name: in.GetName(), Inputs: inputs, Provider: in.GetProvider(),
		ID: in.GetImportId(), Custom: in.GetCustom(), RegisterRPC: in,
	})
	if err != nil {
		return nil, err
	}
	response.Id = id
	response.Object, err = marshal(outputs)
	return response, err
}

func (m *monitor) RegisterResourceOutputs(
	_ context.Context, in *pulumirpc.RegisterResourceOutputsRequest,
) (*emptypb.Empty, error) {
	outputs, err := unmarshal(in.GetOutputs())
	if err != nil {
		return nil, err
	}
	m.cloud.complete(in.GetUrn(), outputs)
	return &emptypb.Empty{}, nil
}

func (m *monitor) Invoke(_ context.Context, in *pulumirpc.ResourceInvokeRequest) (*pulumirpc.ResourceInvokeResponse, error) {
	args, err := unmarshal(in.GetArgs())
	if err != nil {
		return nil, err
	}
	outputs, err := m.cloud.Call(pulumi.MockCallArgs{Token: in.GetTok(), Args: args, Provider: in.GetProvider()})
	if err != nil {
		return nil, err
	}
	returned, err := marshal(outputs)
	return &pulumirpc.ResourceInvokeResponse{Return: returned}, err
}

func (m *monitor) RegisterPackage(context.Context, *pulumirpc.RegisterPackageRequest) (*pulumirpc.RegisterPackageResponse, error) {
	return &pulumirpc.RegisterPackageResponse{Ref: "a package"}, nil
}

func (m *monitor) RegisterResourceHook(context.Context, *pulumirpc.RegisterResourceHookRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

func (m *monitor) SignalAndWaitForShutdown(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

// Log keeps the program's warnings. Its errors come back from pulumi.RunErr.
func (m *monitor) Log(_ context.Context, in *pulumirpc.LogRequest) (*emptypb.Empty, error) {
	if in.GetSeverity() == pulumirpc.LogSeverity_WARNING {
		m.cloud.warn(in.GetMessage())
	}
	return &emptypb.Empty{}, nil
}
