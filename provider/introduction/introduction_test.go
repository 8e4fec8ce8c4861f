package introduction_test

import (
	"encoding/json"
	"net/http"
	"sync"
	"testing"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/provider/internal/rig"
)

// clusters are a Nomad that introduces whom it is asked to, and a Vault that keeps secrets.
type clusters struct {
	ca           rig.Authority
	nomad, vault string
	mu           sync.Mutex
	asked        map[string]any
	secrets      map[string]string
}

func newClusters(t *testing.T) *clusters {
	t.Helper()
	c := &clusters{ca: rig.NewAuthority(t), secrets: map[string]string{}}
	nomad, vault := http.NewServeMux(), http.NewServeMux()
	nomad.HandleFunc("PUT /v1/acl/identity/client-introduction-token", func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if r.Header.Get("X-Nomad-Token") != rig.Secret {
			http.Error(w, "Permission denied", http.StatusForbidden)
			return
		}
		assert.NoError(t, json.NewDecoder(r.Body).Decode(&c.asked))
		rig.Answer(w, http.StatusOK, map[string]any{"JWT": "a-token"})
	})
	vault.HandleFunc("PUT /v1/platform/data/{path...}", func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		var secret struct{ Data map[string]string }
		assert.NoError(t, json.NewDecoder(r.Body).Decode(&secret))
		assert.Equal(t, "hvs.root", r.Header.Get("X-Vault-Token"))
		c.secrets[r.PathValue("path")] = secret.Data["token"]
		rig.Answer(w, http.StatusOK, map[string]any{"data": map[string]any{"version": 1}})
	})
	vault.HandleFunc("GET /v1/platform/metadata/{path...}", func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if _, has := c.secrets[r.PathValue("path")]; !has {
			rig.Answer(w, http.StatusNotFound, map[string]any{"errors": []string{}})
			return
		}
		rig.Answer(w, http.StatusOK, map[string]any{"data": map[string]any{"versions": map[string]any{}}})
	})
	vault.HandleFunc("DELETE /v1/platform/metadata/{path...}", func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.secrets, r.PathValue("path"))
		w.WriteHeader(http.StatusNoContent)
	})
	c.nomad, c.vault = c.ca.Serve(t, "127.0.0.1", nomad), c.ca.Serve(t, "127.0.0.1", vault)
	return c
}

func (c *clusters) inputs(token string) map[string]any {
	const nobody = "https://127.0.0.9:1"
	return map[string]any{
		"machine": "client-1", "machineId": "4711", "nodePool": "batch", "mount": "platform", "secret": "introductions/client-1",
		"nomad":   rig.ClusterWith(c.ca, token, nobody, c.nomad),
		"vault":   rig.ClusterWith(c.ca, "hvs.root", nobody, c.vault),
		"timeout": "20s",
	}
}

func TestAMachineIsIntroduced(t *testing.T) {
	c := newClusters(t)
	subject := rig.New(t.Context(), t, "NomadIntroduction", "client-1")
	inputs := c.inputs(rig.Secret)
	created := subject.MustCreate(inputs)
	assert.Equal(t, map[string]string{"introductions/client-1": "a-token"}, c.secrets)
	assert.Equal(t, "client-1", c.asked["NodeName"])
	assert.Equal(t, "batch", c.asked["NodePool"])
	state, err := json.Marshal(property.New(created.Properties).AsMap().AsMap())
	require.NoError(t, err)
	assert.NotContains(t, string(state), "a-token", "nobody but the machine needs it")

	assert.NotEmpty(t, subject.Read(created, inputs).ID)
	require.NoError(t, subject.Server.Delete(p.DeleteRequest{ID: created.ID, Urn: subject.URN, Properties: created.Properties}))
	assert.Empty(t, c.secrets)
	assert.Empty(t, subject.Read(created, inputs).ID, "a refresh finds that it is gone")
	require.NoError(t, subject.Server.Delete(p.DeleteRequest{ID: created.ID, Urn: subject.URN, Properties: created.Properties}), "once more")
}

func TestATokenThatMayNotIntroduce(t *testing.T) {
	c := newClusters(t)
	_, err := rig.New(t.Context(), t, "NomadIntroduction", "client-1").Create(c.inputs("11111111-2222-4333-8444-555555555555"))
	require.ErrorContains(t, err, "nomad.token may not write nodes: 403 Permission denied")
	assert.Empty(t, c.secrets)
}

// The machine that comes must not find the token of the one before.
func TestAnotherMachineIsIntroducedAnew(t *testing.T) {
	subject := rig.New(t.Context(), t, "NomadIntroduction", "client-1")
	inputs := rig.Good(t)["NomadIntroduction"]
	for name, change := range map[string]map[string]any{
		"another machine":   rig.With(inputs, "machineId", "4712"),
		"another node pool": rig.With(inputs, "nodePool", "default"),
	} {
		diff := subject.Diff(subject.State(inputs), inputs, change)
		assert.True(t, diff.DeleteBeforeReplace, name)
	}
	diff := subject.Diff(subject.State(inputs), inputs, rig.With(inputs, "nomad.token", "11111111-2222-4333-8444-555555555555"))
	assert.True(t, diff.HasChanges)
	assert.False(t, diff.DeleteBeforeReplace, "another token of ours")
}

func TestCheck(t *testing.T) {
	good := rig.Good(t)["NomadIntroduction"]
	for path, want := range map[string]string{
		"machine": "must not be empty", "mount": "must not be empty", "secret": "must not be empty",
		"nomad.token": "must not be empty", "vault.token": "must not be empty",
	} {
		refused := rig.New(t.Context(), t, "NomadIntroduction", "r").Refused(property.Map{}, rig.With(good, path, ""))
		assert.Equal(t, map[string]string{path: want}, refused)
	}
}
