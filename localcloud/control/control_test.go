package control_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/localcloud/api"
	"hashistack/localcloud/control"
	"hashistack/localcloud/fault"
	"hashistack/localcloud/machine"
	"hashistack/localcloud/store"
)

// noMachines is the runtime of a cloud that is not asked for machines.
type noMachines struct{ machine.Runtime }

func TestControl(t *testing.T) {
	dir, err := store.Open(t.TempDir())
	require.NoError(t, err)
	defer func() { assert.NoError(t, dir.Close()) }()
	faults := &fault.Set{}
	a, err := api.New(api.Options{
		Runtime: noMachines{}, State: dir, Token: "token", PublicRange: netip.MustParsePrefix("198.18.0.0/16"), Limits: api.DefaultLimits, Faults: faults,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	require.NoError(t, err)
	defer a.Close()
	handler := control.Handler(a, faults)
	ask := func(method, path, body string) (int, string) {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
		return w.Code, strings.TrimSpace(w.Body.String())
	}

	status, body := ask("GET", "/healthz", "")
	assert.Equal(t, 200, status)
	assert.JSONEq(t, `{"status":"ok"}`, body)

	request := httptest.NewRequest(http.MethodGet, "/v1/locations", nil)
	request.Header.Set("Authorization", "Bearer token")
	a.ServeHTTP(httptest.NewRecorder(), request)
	_, body = ask("GET", "/stats", "")
	assert.JSONEq(t, `{"calls":[{"method":"GET","route":"/v1/locations","calls":1,"errors":0}]}`, body)
	status, _ = ask("DELETE", "/stats", "")
	assert.Equal(t, http.StatusNoContent, status)
	_, body = ask("GET", "/stats", "")
	assert.JSONEq(t, `{"calls":[]}`, body)

	status, body = ask("POST", "/faults", `{"kind":"slow_action","command":"create_server","delay_ms":50,"times":2}`)
	assert.Equal(t, http.StatusCreated, status)
	var added fault.Fault
	require.NoError(t, json.Unmarshal([]byte(body), &added))
	assert.Equal(t, []fault.Fault{added}, faults.List())
	for _, bad := range []string{`{"kind":"rain","times":1}`, `{"kind":"no_capacity","times":1,"colour":"red"}`, `{`} {
		status, body = ask("POST", "/faults", bad)
		assert.Equal(t, http.StatusBadRequest, status, bad)
		assert.Contains(t, body, "error")
	}
	_, body = ask("GET", "/faults", "")
	assert.Contains(t, body, "create_server")
	status, _ = ask("DELETE", "/faults", "")
	assert.Equal(t, http.StatusNoContent, status)
	assert.Empty(t, faults.List())
}
