package infra

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/internal/pulumitest"
)

const identityType = "hashistack:index:StackIdentity"

// production is what the program deploys for Pulumi.prod.yaml.
func production(t *testing.T) *pulumitest.Recorder {
	t.Helper()
	t.Setenv("HCLOUD_TOKEN", "a token")
	encoded, err := json.Marshal(stackConfig(t, "prod"))
	require.NoError(t, err)
	t.Setenv(pulumi.EnvConfig, string(encoded))
	t.Chdir(t.TempDir())
	return &pulumitest.Recorder{Outputs: computed()}
}

func TestDeployKnowsWhatTheStackIs(t *testing.T) {
	recorder := production(t)
	recorder.Run(t, Deploy)
	identity := recorder.One(t, identityType, namespace)
	for path, want := range map[string]any{
		"location": "fsn1", "region": "global", "neighbour": "", "network": "10.0.0.0/16",
		"pools": map[string]any{
			"server": map[string]any{
				"subnet": "10.0.1.0/24", "roles": []any{"vault", "consul-server", "nomad-server"}, "servers": []any{"10.0.1.10", "10.0.1.11", "10.0.1.12"},
			},
			"client": map[string]any{"subnet": "10.0.2.0/24"},
		},
	} {
		assert.Equal(t, want, identity.Input(path), path)
	}
	assert.Empty(t, identity.Options.RegisterRPC.GetDeletedWith(), "it outlives all that depends on it")
}

// Whose network it is that has our name is known before there is anything of ours.
func TestDeployKnowsItsNeighbour(t *testing.T) {
	recorder := production(t)
	recorder.Outputs["hcloud:index/getNetworks:getNetworks"] = resource.PropertyMap{"networks": resource.NewProperty([]resource.PropertyValue{
		resource.NewProperty(resource.PropertyMap{
			"name": resource.NewProperty(namespace), "labels": resource.NewProperty(resource.PropertyMap{"stack": resource.NewProperty("another")}),
		}),
	})}
	recorder.Run(t, Deploy)
	assert.Equal(t, "another", recorder.One(t, identityType, namespace).Input("neighbour"))
}

// When the stack would become another one, nothing has been touched.
func TestDeployTouchesNothingOfAnotherStack(t *testing.T) {
	recorder := production(t)
	recorder.Failures = map[string]error{identityType + "::" + namespace: errors.New("location must stay nbg1, got fsn1")}
	require.ErrorContains(t, recorder.RunErr(t, Deploy), "location must stay nbg1, got fsn1")
	for _, declared := range recorder.Resources() {
		assert.True(t, strings.HasPrefix(declared.Type, "pulumi:"), "%s is not touched", declared.URN)
	}
}
