package stackstate

import (
	"encoding/json"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	secret    = `{"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "plaintext": "\"s3cret\""}`
	encrypted = `{"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:abc"}`
	asset     = `{"4dabf18193072939515e22adb298388d": "c44067f5952c0a294b673a41bacd8c17", "plaintext": "\"no secret\""}`
	state     = `{"manifest": {"time": "2026-01-02T03:04:05Z", "magic": "", "version": ""},
		"resources": [{"urn": "urn:pulumi:local::hashistack::random:index:Id::a", "custom": true, "type": "random:index:Id", "id": "1",
			"inputs": {"plain": "x", "secret": ` + secret + `, "list": [` + secret + `, 7], "asset": ` + asset + `, "hidden": ` + encrypted + `}}],
		"pending_operations": [{"type": "creating", "resource": {"urn": "urn:pulumi:local::hashistack::random:index:Id::b", "type": "random:index:Id"}}]}`
)

func TestDecode(t *testing.T) {
	exported, err := Decode([]byte(`{"version": 3, "deployment": ` + state + `}`))
	require.NoError(t, err)
	assert.True(t, Has(exported, "urn:pulumi:local::hashistack::random:index:Id::a"))
	assert.False(t, Has(exported, "urn:pulumi:local::hashistack::random:index:Id::b"), "pending is not there")
	require.Len(t, exported.PendingOperations, 1)
	assert.Equal(t, apitype.OperationTypeCreating, exported.PendingOperations[0].Type)

	kept, err := DecodeFile([]byte(`{"version": 4, "features": ["x"], "checkpoint": {"stack": "local", "latest": ` + state + `}}`))
	require.NoError(t, err)
	assert.Equal(t, exported, kept)
	empty, err := DecodeFile([]byte(`{"version": 3, "checkpoint": {"stack": "local"}}`))
	require.NoError(t, err)
	assert.Empty(t, empty.Resources)
}

func TestDecodeRefuses(t *testing.T) {
	for name, text := range map[string]string{"cut off": `{"version": 3, "deploy`, "nothing in it": `{"version": 3}`} {
		_, err := Decode([]byte(text))
		require.ErrorContains(t, err, "decode the exported state", name)
		_, err = DecodeFile([]byte(text))
		require.ErrorContains(t, err, "decode the stack's file", name)
	}
	_, err := Decode([]byte(`{"version": 5, "deployment": {}}`))
	require.ErrorContains(t, err, "has version 5: must be 3 or 4")
	_, err = DecodeFile([]byte(`{"version": 2, "checkpoint": {}}`))
	require.ErrorContains(t, err, "has version 2: must be 3 or 4")
}

func TestSecrets(t *testing.T) {
	decoded, err := Decode([]byte(`{"version": 3, "deployment": ` + state + `}`))
	require.NoError(t, err)
	inputs := decoded.Resources[0].Inputs
	assert.Equal(t, "x", Text(inputs["plain"]))
	assert.Equal(t, "s3cret", Text(inputs["secret"]))
	for _, none := range []string{"list", "asset", "hidden", "missing"} {
		assert.Empty(t, Text(inputs[none]), none)
	}
	_, is := Plain(inputs["plain"])
	assert.False(t, is)
	plain, is := Plain(inputs["hidden"])
	assert.True(t, is)
	assert.Nil(t, plain)

	var all any
	require.NoError(t, json.Unmarshal([]byte(state), &all))
	var found []any
	Secrets(all, func(plain any) { found = append(found, plain) })
	assert.ElementsMatch(t, []any{"s3cret", "s3cret", nil}, found)
}
