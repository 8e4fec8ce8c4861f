package acl_test

import (
	"net/http"
	"testing"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/provider/internal/rig"
)

func TestNomadIsRunning(t *testing.T) {
	ca := rig.NewAuthority(t)
	nomad := func(leader string) string {
		return ca.Serve(t, "127.0.0.1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			assert.Equal(t, "/v1/status/leader", r.URL.Path)
			rig.Answer(w, http.StatusOK, leader)
		}))
	}
	const nobody = "https://127.0.0.9:1"
	stranger := rig.NewAuthority(t).Serve(t, "127.0.0.1", http.NotFoundHandler())
	for name, c := range map[string]struct {
		servers []string
		want    bool
	}{
		"no machines yet":             {[]string{nobody, nobody, nobody}, false},
		"servers that have no leader": {[]string{nomad(""), nobody}, false},
		"somebody else":               {[]string{stranger}, false},
		"one that knows a leader":     {[]string{nobody, nomad("10.0.1.10:4647"), nobody}, true},
	} {
		t.Run(name, func(t *testing.T) {
			answer, err := rig.New(t.Context(), t, "VaultInit", "r").Server.Invoke(p.InvokeRequest{
				Token: "hashistack:index:isNomadRunning", Args: rig.Properties(map[string]any{"cluster": rig.Cluster(ca, c.servers...)}),
			})
			require.NoError(t, err)
			require.Empty(t, answer.Failures)
			assert.Equal(t, c.want, answer.Return.Get("running").AsBool())
		})
	}
}
