package components

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFormatUUID(t *testing.T) {
	for name, c := range map[string]struct{ digits, uuid string }{
		"zeroes":  {strings.Repeat("0", 32), "00000000-0000-4000-8000-000000000000"},
		"ones":    {strings.Repeat("f", 32), "ffffffff-ffff-4fff-bfff-ffffffffffff"},
		"between": {"000102030405060708090a0b0c0d0e0f", "00010203-0405-4607-8809-0a0b0c0d0e0f"},
	} {
		t.Run(name, func(t *testing.T) {
			uuid, err := formatUUID(c.digits)
			require.NoError(t, err)
			assert.Equal(t, c.uuid, uuid)
		})
	}
	for name, c := range map[string]struct{ digits, problem string }{
		"nothing":   {"", "a UUID has 16 bytes, got 0"},
		"too short": {strings.Repeat("0", 30), "a UUID has 16 bytes, got 15"},
		"too long":  {strings.Repeat("0", 34), "a UUID has 16 bytes, got 17"},
		"not hex":   {strings.Repeat("x", 32), "decode the bytes of a UUID"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := formatUUID(c.digits)
			require.ErrorContains(t, err, c.problem)
		})
	}
}

func TestSecretsAreLongEnough(t *testing.T) {
	p := newPlatform(t)
	lengths := map[string]any{}
	for _, secret := range p.All("random:index/randomBytes:RandomBytes") {
		lengths[secret.Name] = secret.Input("length")
	}
	expected := map[string]any{
		"gossip/consul": 32.0, "gossip/nomad": 32.0, // AES-256
		"consul-bootstrap": 16.0, "nomad-bootstrap": 16.0, "consul-engine": 16.0, // UUIDs
	}
	for _, m := range allMachines {
		expected[m.name+"-login"] = 16.0
	}
	assert.Equal(t, expected, lengths)
}
