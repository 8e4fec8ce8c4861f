package machine

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/client"
	"github.com/stretchr/testify/require"
)

// TestRebootBetweenEventAndList gives the runtime an engine that has sent the event of a reboot already and does not list
// the machine as exited yet: Docker does one before the other, and cleans up in between.
func TestRebootBetweenEventAndList(t *testing.T) {
	started := make(chan string, 1)
	engine := http.NewServeMux()
	answer := func(pattern, body string) {
		engine.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.FormValue("filters"), "exited") {
				body = "[]"
			}
			_, _ = w.Write([]byte(body))
		})
	}
	answer("GET /{version}/containers/json", `[{"Id": "up"}, {"Id": "off"}, {"Id": "rebooted", "State": "running"}]`)
	answer("GET /{version}/containers/rebooted/json", `{"Id": "rebooted", "State": {"Running": false, "ExitCode": 129}}`)
	answer("GET /{version}/containers/up/json", `{"Id": "up", "State": {"Running": true, "ExitCode": 0}}`)
	answer("GET /{version}/containers/off/json", `{"Id": "off", "State": {"Running": false, "ExitCode": 130}}`)
	engine.HandleFunc("GET /{version}/events", func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	engine.HandleFunc("POST /{version}/containers/{id}/start", func(w http.ResponseWriter, r *http.Request) {
		started <- r.PathValue("id")
		w.WriteHeader(http.StatusNoContent)
	})
	server := httptest.NewServer(engine)
	t.Cleanup(server.Close)

	docker, err := client.NewClientWithOpts(client.WithHost("tcp://"+server.Listener.Addr().String()), client.WithVersion("1.41"))
	require.NoError(t, err)
	d, err := Open(Options{Name: "test"})
	require.NoError(t, err)
	d.docker = docker
	go d.restartRebooting(t.Context())

	select {
	case id := <-started:
		require.Equal(t, "rebooted", id)
	case <-time.After(10 * time.Second):
		t.Fatal("want the rebooted machine started again, got nothing")
	}
}
