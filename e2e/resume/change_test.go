package resume

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/e2e/stack"
)

func TestAtAnEvent(t *testing.T) {
	step := func(op apitype.OpType, kind, name string) *stack.StepEvent {
		s := &stack.StepEvent{}
		s.Metadata.Op, s.Metadata.Type, s.Metadata.URN = string(op), kind, "urn:pulumi:local::hashistack::"+kind+"::"+name
		return s
	}
	at := begins(serverKind, "server-", apitype.OpDeleteReplaced)
	assert.True(t, at(stack.Event{Begin: step(apitype.OpDeleteReplaced, serverKind, "server-2")}))
	assert.False(t, at(stack.Event{Begin: step(apitype.OpDeleteReplaced, serverKind, "client-2")}), "a machine of another pool")
	assert.False(t, at(stack.Event{Begin: step(apitype.OpReplace, serverKind, "server-2")}), "another operation")
	assert.False(t, at(stack.Event{Begin: step(apitype.OpDeleteReplaced, membershipKind, "server-2")}), "another resource")
	assert.False(t, at(stack.Event{End: step(apitype.OpDeleteReplaced, serverKind, "server-2")}), "its end")
	assert.True(t, ends(serverKind, "server-4", apitype.OpCreate)(stack.Event{End: step(apitype.OpCreate, serverKind, "server-4")}))
	assert.False(t, ends(serverKind, "server-4", apitype.OpCreate)(stack.Event{End: step(apitype.OpCreate, serverKind, "server-5")}))
}

func TestInterrupted(t *testing.T) {
	old := map[string]string{"1": "server-1", "2": "server-2"}
	require.NoError(t, interrupted(old, map[string]string{"3": "server-1", "2": "server-2"}))
	require.NoError(t, interrupted(old, map[string]string{"2": "server-2"}))
	require.ErrorContains(t, interrupted(old, map[string]string{"3": "server-1", "4": "server-2"}), "was through")
	require.Error(t, interrupted(old, nil))
}

func TestEveryChangeChangesTheConfiguration(t *testing.T) {
	for _, c := range Changes() {
		config := map[string]any{"hashistack:pools": []any{
			map[string]any{"name": "server", "count": c.Servers, "type": "cx23"}, map[string]any{"name": "client", "count": 2, "type": "cx23"},
		}}
		require.NoError(t, c.To(config), c.What)
		assert.NotEqual(t, []any{
			map[string]any{"name": "server", "count": c.Servers, "type": "cx23"}, map[string]any{"name": "client", "count": 2, "type": "cx23"},
		}, config["hashistack:pools"], c.What)
		require.Error(t, c.To(map[string]any{}), c.What)
	}
}
