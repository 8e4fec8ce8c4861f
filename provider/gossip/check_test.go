package gossip_test

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
		"product":     {"GossipInstall", "product", "vault", map[string]string{"product": `must be consul or nomad, got "vault"`}},
		"short key":   {"GossipUse", "key", "c2hvcnQ=", map[string]string{"key": "must be 32 bytes in base64, got 8 characters of another form"}},
		"no base64":   {"GossipInstall", "key", "hunter2!", map[string]string{"key": "must be 32 bytes in base64, got 8 characters of another form"}},
		"empty token": {"GossipUse", "cluster.token", "", map[string]string{"cluster.token": "must not be empty"}},
		"no token":    {"GossipInstall", "cluster.token", nil, map[string]string{"cluster.token": "must not be empty"}},
	} {
		t.Run(name, func(t *testing.T) {
			subject := rig.New(t.Context(), t, test.resourceType, "r")
			assert.Equal(t, test.want, subject.Refused(property.Map{}, rig.With(good[test.resourceType], test.property, test.value)))
		})
	}
}
