package stack

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// After a reboot of the host, the machines that are off are powered on, and those alone.
func TestPowerOn(t *testing.T) {
	status := map[string]string{"1": "off", "2": "running", "3": "off"}
	var calls []string
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		answer := map[string]any{}
		if id, found := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/servers/"), "/actions/poweron"); found && r.Method == http.MethodPost {
			calls, status[id] = append(calls, id), "running"
			answer["action"] = map[string]any{"id": 7, "status": "success", "command": "start_server"}
		} else {
			servers := []any{}
			for _, id := range []string{"1", "2", "3"} {
				if status[id] == r.URL.Query().Get("status") {
					servers = append(servers, json.RawMessage(fmt.Sprintf(`{"id": %s, "name": "server-%s", "status": %q}`, id, id, status[id])))
				}
			}
			answer["servers"] = servers
		}
		assert.NoError(t, json.NewEncoder(w).Encode(answer))
	}))
	defer api.Close()
	client := hcloud.NewClient(hcloud.WithEndpoint(api.URL), hcloud.WithToken("token"))
	var out strings.Builder
	s := &Stack{Out: &out}
	found, err := s.powerOnAt(t.Context(), client)
	require.NoError(t, err)
	assert.True(t, found)
	assert.Equal(t, []string{"1", "3"}, calls)
	assert.Contains(t, out.String(), "powering on server-1, server-3")

	out.Reset()
	found, err = s.powerOnAt(t.Context(), client)
	require.NoError(t, err)
	assert.False(t, found)
	assert.Len(t, calls, 2)
	assert.Empty(t, out.String())
}
