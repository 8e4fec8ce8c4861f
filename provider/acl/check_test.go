package acl_test

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/property"
	"github.com/stretchr/testify/assert"

	"hashistack/provider/internal/rig"
)

func TestCheck(t *testing.T) {
	good := rig.Good(t)
	for name, test := range map[string]struct {
		resourceType, property string
		value                  any
		want                   map[string]string
	}{
		"no port": {"ConsulBootstrap", "cluster.nodes", rig.Nodes("https://10.0.1.10"), map[string]string{
			"cluster.nodes[0].address": `must be like https://10.0.1.10:8200, got "https://10.0.1.10"`,
		}},
		"a name twice": {
			"NomadBootstrap", "cluster.nodes",
			[]any{map[string]any{"name": "a", "address": "https://1.2.3.4:1"}, map[string]any{"name": "a", "address": "https://1.2.3.5:1"}},
			map[string]string{"cluster.nodes[1].name": `must be unique, "a" is there twice`},
		},
		"no time": {"NomadBootstrap", "timeout", "0s", map[string]string{"timeout": `must be a positive duration like 90s or 10m, got "0s"`}},
		"voters":  {"ConsulBootstrap", "expectedVoters", 0, map[string]string{"expectedVoters": "must be at least 1, got 0"}},
		"secret":  {"NomadBootstrap", "bootstrapSecret", "hunter2", map[string]string{"bootstrapSecret": "must be a UUID like 8f2d7b64-…, got 7 characters of another form"}},
		"a token": {"NomadBootstrap", "cluster.token", rig.Secret, map[string]string{"cluster.token": "must be left out: there is no token yet"}},
	} {
		t.Run(name, func(t *testing.T) {
			subject := rig.New(t.Context(), t, test.resourceType, "r")
			assert.Equal(t, test.want, subject.Refused(property.Map{}, rig.With(good[test.resourceType], test.property, test.value)))
		})
	}
}

func TestBootstrapSecretIsSecret(t *testing.T) {
	assert.True(t, rig.New(t.Context(), t, "ConsulBootstrap", "c").Checked(rig.Good(t)["ConsulBootstrap"]).Get("bootstrapSecret").Secret())
}
