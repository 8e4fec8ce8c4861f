package infra

import (
	"encoding/json"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/components"
	"hashistack/internal/pulumitest"
)

func TestOffered(t *testing.T) {
	offers := components.Offers{Locations: []string{"nbg1", "fsn1"}, Types: map[string][]string{
		"cpx32": {"fsn1", "nbg1"}, "cx23": {"fsn1"}, "ccx13": {"nbg1"},
	}}
	config := func(location string, types ...string) *Config {
		c := &Config{Location: location}
		for _, t := range types {
			c.Pools = append(c.Pools, Pool{Type: t})
		}
		return c
	}
	require.NoError(t, config("fsn1", "cpx32", "cx23").offered(offers))
	require.NoError(t, config("nbg1", "ccx13").offered(offers))
	require.ErrorContains(t, config("abc1", "cx23").offered(offers), `hashistack:location: must be one of Hetzner's locations, fsn1, nbg1, got "abc1"`)
	err := config("fsn1", "cx999", "cpx32", "ccx13").offered(offers)
	require.ErrorContains(t, err, `hashistack:pools[0].type: Hetzner has no server type "cx999" in fsn1: choose one of cpx32, cx23`)
	require.ErrorContains(t, err, `hashistack:pools[2].type: Hetzner has no server type "ccx13" in fsn1: choose one of cpx32, cx23`)
}

// It is said in the preview, before anything is declared.
func TestDeployRefusesWhatTheCloudDoesNotHave(t *testing.T) {
	t.Setenv("HCLOUD_TOKEN", "a token")
	encoded, err := json.Marshal(stackConfig(t, "prod"))
	require.NoError(t, err)
	t.Setenv(pulumi.EnvConfig, string(encoded))
	t.Chdir(t.TempDir())
	recorder := &pulumitest.Recorder{Outputs: computed()}
	recorder.Outputs["hcloud:index/getServerTypes:getServerTypes"] = resource.PropertyMap{"serverTypes": resource.NewProperty([]resource.PropertyValue{})}
	require.ErrorContains(t, recorder.RunErr(t, Deploy), "hashistack:pools[0].type: Hetzner has no server type")
	assert.Empty(t, recorder.Resources())
}
