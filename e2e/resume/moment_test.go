package resume

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/e2e/stack"
)

const (
	server = "hcloud:index/server:Server"
	mount  = "vault:index/mount:Mount"
)

func of(kind, name string) apitype.ResourceV3 {
	return apitype.ResourceV3{Type: tokens.Type(kind), URN: resource.URN("urn:pulumi:local::hashistack::" + kind + "::" + name)}
}

func op(what apitype.OperationType, r apitype.ResourceV3) apitype.OperationV2 {
	return apitype.OperationV2{Type: what, Resource: r}
}

type (
	resources []apitype.ResourceV3
	pending   []apitype.OperationV2
)

func TestMissed(t *testing.T) {
	const creating = apitype.OperationTypeCreating
	one, any, several := Moment{Kind: server, Name: "server-2"}, Moment{Kind: server}, Moment{Kind: server, OneOfSeveral: true}
	other := of(mount, "server-2") // of another type
	for name, c := range map[string]struct {
		moment    Moment
		resources resources
		pending   pending
		problem   string
	}{
		"under way":                       {one, resources{of(server, "server-1"), other}, pending{op(creating, of(server, "server-2"))}, ""},
		"under way, of any name":          {any, resources{other}, pending{op(creating, of(server, "server-3"))}, ""},
		"nothing has begun":               {one, nil, nil, "got none among the 0 operations"},
		"it is done":                      {one, resources{of(server, "server-2")}, nil, "got it in the state"},
		"it is done, and still listed":    {one, resources{of(server, "server-2")}, pending{op(creating, of(server, "server-2"))}, "got it in the state"},
		"another's creation":              {one, nil, pending{op(creating, of(server, "server-1"))}, "got none among the 1 operations"},
		"another type's creation":         {one, nil, pending{op(creating, other)}, "got none among the 1 operations"},
		"an update":                       {one, nil, pending{op(apitype.OperationTypeUpdating, of(server, "server-2"))}, "got none among the 1 operations"},
		"one is created, another is not":  {several, resources{of(server, "server-1")}, pending{op(creating, of(server, "server-2"))}, ""},
		"none of several is created":      {several, resources{other}, pending{op(creating, of(server, "server-2"))}, "got none"},
		"all of several are created":      {several, resources{of(server, "server-1"), of(server, "server-2")}, nil, "got none among"},
		"all are created and still named": {several, resources{of(server, "server-2")}, pending{op(creating, of(server, "server-2"))}, "got none among"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.moment.missed(&apitype.DeploymentV3{Resources: c.resources, PendingOperations: c.pending})
			if c.problem == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.problem)
		})
	}
}

// Pulumi goes on until it has saved that it creates something, and once more, so that it sends the request.
func TestLookAtTheSavedState(t *testing.T) {
	s := &stack.Stack{Root: t.TempDir()}
	file := s.Path("state", ".pulumi", "stacks", "hashistack", stack.Name+".json")
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
	save := func(state apitype.DeploymentV3) {
		checkpoint, err := json.Marshal(apitype.CheckpointV3{Latest: &state})
		require.NoError(t, err)
		content, err := json.Marshal(apitype.VersionedCheckpoint{Version: 3, Checkpoint: checkpoint})
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(file, content, 0o600))
	}
	begun := pending{op(apitype.OperationTypeCreating, of(server, "server-2"))}

	one, err := Moment{Kind: server}.look(t.Context(), s)
	require.NoError(t, err)
	require.ErrorIs(t, one(t.Context()), fs.ErrNotExist)
	save(apitype.DeploymentV3{})
	require.ErrorContains(t, one(t.Context()), "got none among the 0 operations")
	save(apitype.DeploymentV3{PendingOperations: begun})
	require.ErrorContains(t, one(t.Context()), "the request may not be sent yet")
	require.NoError(t, one(t.Context()))
	save(apitype.DeploymentV3{Resources: resources{of(server, "server-2")}})
	require.ErrorContains(t, one(t.Context()), "got it in the state", "the moment is over")

	several, err := Moment{Kind: server, OneOfSeveral: true}.look(t.Context(), s)
	require.NoError(t, err)
	require.ErrorContains(t, several(t.Context()), "got none among")
	save(apitype.DeploymentV3{Resources: resources{of(server, "server-1")}, PendingOperations: begun})
	require.NoError(t, several(t.Context()), "the request of the other is sent")
}

// Every moment can be hit by a state, and by an event.
func TestMoments(t *testing.T) {
	for _, m := range Moments() {
		name := m.Name
		if name == "" {
			name = "any"
		}
		hit := &apitype.DeploymentV3{PendingOperations: pending{op(apitype.OperationTypeCreating, of(m.Kind, name))}}
		if m.OneOfSeveral {
			hit.Resources = resources{of(m.Kind, "another")}
		}
		require.NoError(t, m.missed(hit), m.What)
		require.Error(t, m.missed(&apitype.DeploymentV3{}), m.What)
		assert.True(t, m.Until == nil || !m.OneOfSeveral, "%s: what exists tells nothing about the others", m.What)

		var step stack.StepEvent
		step.Metadata.Op, step.Metadata.Type, step.Metadata.URN = "create", m.Kind, "urn:pulumi:local::hashistack::"+m.Kind+"::"+name
		assert.Equal(t, m.OneOfSeveral, m.near(stack.Event{End: &step}), m.What)
		assert.Equal(t, !m.OneOfSeveral, m.near(stack.Event{Begin: &step}), m.What)
		assert.False(t, strings.HasSuffix(m.What, "."), m.What)
	}
}
