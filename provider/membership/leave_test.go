package membership_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"testing"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/provider/internal/rig"
)

// fakes are the products as far as a machine that leaves talks to them.
type fakes struct {
	ca rig.Authority

	mu       sync.Mutex
	refusals int  // how often Nomad has no leader, before it lists its nodes
	away     bool // the client is not ready
	drained  bool
	sealed   bool     // Vault on server-1
	voters   []string // of Vault
}

func newFakes(t *testing.T) *fakes { return &fakes{ca: rig.NewAuthority(t)} }

// handle answers requests of a kind, one at a time.
func (f *fakes) handle(mux *http.ServeMux, pattern string, answer func(r *http.Request) (status int, body any)) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		status, body := answer(r)
		rig.Answer(w, status, body)
	})
}

func (f *fakes) nomad(t *testing.T) string {
	mux := http.NewServeMux()
	f.handle(mux, "GET /v1/nodes", func(*http.Request) (int, any) {
		if f.refusals > 0 {
			f.refusals--
			return http.StatusInternalServerError, "No cluster leader"
		}
		status := "ready"
		if f.away {
			status = "down"
		}
		return http.StatusOK, []map[string]any{{"ID": "n", "Name": "client-1", "Status": status}}
	})
	f.handle(mux, "PUT /v1/node/n/drain", func(*http.Request) (int, any) {
		f.drained = true
		return http.StatusOK, map[string]any{}
	})
	f.handle(mux, "GET /v1/node/n", func(*http.Request) (int, any) { return http.StatusOK, map[string]any{"ID": "n"} })
	return f.ca.Serve(t, "127.0.0.1", mux)
}

// vault is the server of a machine. The active one knows the voters.
func (f *fakes) vault(t *testing.T, machine string) string {
	mux := http.NewServeMux()
	f.handle(mux, "GET /v1/sys/seal-status", func(*http.Request) (int, any) {
		return http.StatusOK, map[string]any{"sealed": machine == "server-1" && f.sealed, "initialized": true, "t": 1, "n": 1, "type": "shamir"}
	})
	f.handle(mux, "PUT /v1/sys/unseal", func(r *http.Request) (int, any) {
		var sent struct{ Key string }
		_ = json.NewDecoder(r.Body).Decode(&sent) // then it has no key
		assert.Equal(t, "a2V5", sent.Key)
		f.sealed, f.voters = false, append(f.voters, machine)
		return http.StatusOK, map[string]any{"sealed": false, "t": 1, "n": 1}
	})
	f.handle(mux, "GET /v1/sys/storage/raft/autopilot/state", func(*http.Request) (int, any) {
		if machine != "server-3" {
			return http.StatusServiceUnavailable, map[string]any{"errors": []string{"not active"}}
		}
		servers := map[string]any{}
		for _, voter := range f.voters {
			servers[voter] = map[string]any{"id": voter, "name": voter, "healthy": true, "status": "voter"}
		}
		return http.StatusOK, map[string]any{"data": map[string]any{"servers": servers}}
	})
	f.handle(mux, "PUT /v1/sys/storage/raft/remove-peer", func(*http.Request) (int, any) {
		f.voters = slices.DeleteFunc(f.voters, func(voter string) bool { return voter == "server-2" })
		return http.StatusOK, map[string]any{}
	})
	return f.ca.Serve(t, "127.0.0.1", mux)
}

// leave deletes the membership of a machine.
func leave(t *testing.T, subject rig.Subject, inputs map[string]any) error {
	t.Helper()
	state := subject.State(inputs)
	return subject.Server.Delete(p.DeleteRequest{ID: "m", Urn: subject.URN, Properties: state, OldInputs: property.Map{}})
}

func (f *fakes) client(t *testing.T) map[string]any {
	return map[string]any{
		"machine": "client-1", "machineId": "4711", "lane": "clients", "region": "global", "nomadClient": true, "timeout": "20s",
		"consul": rig.ClusterWith(f.ca, rig.Secret, "https://127.0.0.9:1"), "nomad": rig.ClusterWith(f.ca, rig.Secret, f.nomad(t)),
	}
}

// While leadership moves, nobody knows whether the client is there: it must not be taken for one that is away.
func TestAClientIsDrainedWhenNomadHasALeaderAgain(t *testing.T) {
	f := newFakes(t)
	f.refusals = 3
	require.NoError(t, leave(t, rig.New(t.Context(), t, "Membership", "client-1"), f.client(t)))
	assert.True(t, f.drained)
}

// One that is away has lost its allocations already.
func TestAClientThatIsAwayIsNotDrained(t *testing.T) {
	f := newFakes(t)
	f.away = true
	require.NoError(t, leave(t, rig.New(t.Context(), t, "Membership", "client-1"), f.client(t)))
	assert.False(t, f.drained)
}

// Without an answer nobody knows what would be lost.
func TestAClientStaysWhileNomadDoesNotAnswer(t *testing.T) {
	f := newFakes(t)
	inputs := rig.With(rig.With(f.client(t), "nomad.nodes", rig.Nodes("https://127.0.0.9:1")), "timeout", "1s")
	require.ErrorContains(t, leave(t, rig.New(t.Context(), t, "Membership", "client-1"), inputs), "want Nomad to say how the client of client-1 is")
}

// An update that was killed has left the new server-1 sealed. What unseals it comes after server-2's replacement, for which
// server-1 must be a voter.
func TestAServerThatIsSealedHoldsUpNobody(t *testing.T) {
	f := newFakes(t)
	f.sealed, f.voters = true, []string{"server-2", "server-3"}
	inputs := map[string]any{
		"machine": "server-2", "machineId": "4711", "lane": "servers", "region": "global", "timeout": "20s",
		"vault":      rig.ClusterWith(f.ca, "hvs.root", f.vault(t, "server-1"), f.vault(t, "server-2"), f.vault(t, "server-3")),
		"unsealKeys": []any{"a2V5"},
		"consul":     rig.With(rig.ClusterWith(f.ca, rig.Secret), "nodes", rig.Nodes("https://127.0.0.9:1")),
	}
	require.NoError(t, leave(t, rig.New(t.Context(), t, "Membership", "server-2"), inputs))
	assert.Equal(t, []string{"server-3", "server-1"}, f.voters)
}
