package acl_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/provider/acl"
	"hashistack/provider/internal/cluster"
	"hashistack/provider/internal/rig"
)

// The servers here are fakes, for faults that the real products do not show on demand; the rest is tested with the
// products themselves, see the files with the build tag products.

// A Consul that bootstraps and dies before it answers: its peer knows of it, and the chosen rig.Secret is the token.
func TestBootstrapWhoseAnswerIsLost(t *testing.T) {
	ca := rig.NewAuthority(t)
	done := false
	consul := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/status/leader":
			rig.Answer(w, http.StatusOK, "10.0.1.10:8300")
		case "/v1/status/peers":
			rig.Answer(w, http.StatusOK, []string{"10.0.1.10:8300"})
		case "/v1/acl/bootstrap":
			if !done {
				done = true
				panic(http.ErrAbortHandler)
			}
			http.Error(w, "Permission denied: rpc error making call: ACL bootstrap no longer allowed (reset index: 13)", http.StatusForbidden)
		case "/v1/acl/token/self":
			if r.Header.Get("X-Consul-Token") != rig.Secret {
				http.Error(w, "ACL not found", http.StatusForbidden)
				return
			}
			rig.Answer(w, http.StatusOK, map[string]any{"AccessorID": "the-accessor", "Policies": []any{map[string]any{"ID": acl.ManagementPolicy}}})
		case "/v1/operator/raft/configuration":
			rig.Answer(w, http.StatusOK, map[string]any{"Servers": []any{map[string]any{"ID": "1", "Voter": true}}})
		case "/v1/operator/autopilot/health":
			rig.Answer(w, http.StatusOK, map[string]any{"Healthy": true})
		default:
			http.NotFound(w, r)
		}
	})
	created := rig.New(t.Context(), t, "ConsulBootstrap", "consul").MustCreate(map[string]any{
		"cluster": rig.Cluster(ca, ca.Serve(t, "127.0.0.1", consul)), "expectedVoters": 1, "bootstrapSecret": rig.Secret, "timeout": "10s",
	})
	assert.Equal(t, "the-accessor", created.Properties.Get("accessorId").AsString())
}

// Both products answer 429 with the report when a server is not healthy.
func TestUnhealthyServersAreNamed(t *testing.T) {
	ca := rig.NewAuthority(t)
	address := ca.Serve(t, "127.0.0.1", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		rig.Answer(w, http.StatusTooManyRequests, map[string]any{
			"Healthy": false, "Servers": []any{map[string]any{"Name": "one", "Healthy": true}, map[string]any{"Name": "two"}},
		})
	}))
	for name, connect := range map[string]acl.Connect{"Consul": acl.Consul, "Nomad": acl.Nomad} {
		t.Run(name, func(t *testing.T) {
			server, err := connect(cluster.Node{Name: "server-1", Address: address}, ca.PEM, rig.Secret)
			require.NoError(t, err)
			unhealthy, err := server.Unhealthy(t.Context())
			require.NoError(t, err)
			assert.Equal(t, []string{"two"}, unhealthy)
		})
	}
}

func TestEveryServerIsInTheError(t *testing.T) {
	ca := rig.NewAuthority(t)
	sealed := ca.Serve(t, "127.0.0.1", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "No cluster leader", http.StatusInternalServerError)
	}))
	_, err := rig.New(t.Context(), t, "NomadBootstrap", "nomad").Create(map[string]any{
		"cluster": rig.Cluster(ca, sealed, ca.Serve(t, "elsewhere.example", http.NotFoundHandler())), "expectedVoters": 3, "bootstrapSecret": rig.Secret, "timeout": "1s",
	})
	require.Error(t, err)
	assert.Regexp(t, `want Nomad to have a leader and 3 peers, got: server-1 \(\S+\): 500 No cluster leader; server-2 \(\S+\): .*certificate`, err.Error())
}
