package control_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"hashistack/localcloud/control"
	"hashistack/localcloud/fault"
)

// FuzzFault asks for any fault, and then lets calls, servers and actions meet it.
func FuzzFault(f *testing.F) {
	for _, body := range []string{
		`{"kind":"error","times":2,"method":"POST","path":"/servers/*/actions/[a-","status":503,"code":"x"}`,
		`{"kind":"error","times":1,"path":"/servers","status":503,"code":"x"}`, `{"kind":"error","times":1,"status":200}`,
		`{"kind":"no_capacity","times":1,"server":"client-*"}`, `{"kind":"boot_hangs","times":1,"server":"["}`,
		`{"kind":"slow_action","times":1,"delay_ms":1,"command":"create_server"}`, `{"kind":"slow_action","times":-1}`, `{}`, `null`, `[]`, `{"kind":7}`, ``,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		var faults fault.Set
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/faults", strings.NewReader(body))
		control.Handler(nil, &faults).ServeHTTP(w, r)
		on := faults.List()
		if w.Code != http.StatusCreated {
			require.Equal(t, http.StatusBadRequest, w.Code)
			require.Empty(t, on)
			return
		}
		require.Len(t, on, 1)
		require.Positive(t, on[0].Times)
		if struck, ok := faults.Call(http.MethodPost, "/servers"); ok {
			require.GreaterOrEqual(t, struck.Status, 400)
		}
		faults.Strikes(fault.NoCapacity, "client-1")
		faults.Strikes(fault.BootHangs, "client-1")
		faults.Clear()
		require.Empty(t, faults.List())
	})
}
