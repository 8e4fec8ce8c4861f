// Package control serves the local cloud's control address, apart from the API that clients see: faults, call counts
// and health, for people and tests.
package control

import (
	"encoding/json"
	"net/http"

	"hashistack/localcloud/api"
	"hashistack/localcloud/fault"
)

// Handler serves
//
//	GET    /healthz  200 as soon as the API answers
//	GET    /stats    the API calls per route
//	DELETE /stats    starts counting anew
//	GET    /faults   the faults that are on
//	POST   /faults   turns on a fault.Fault
//	DELETE /faults   turns all off
func Handler(a *api.API, faults *fault.Set) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		write(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		write(w, http.StatusOK, map[string]any{"calls": a.Stats()})
	})
	mux.HandleFunc("DELETE /stats", func(w http.ResponseWriter, _ *http.Request) {
		a.ResetStats()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /faults", func(w http.ResponseWriter, _ *http.Request) {
		write(w, http.StatusOK, map[string]any{"faults": faults.List()})
	})
	mux.HandleFunc("POST /faults", func(w http.ResponseWriter, r *http.Request) {
		var f fault.Fault
		decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16))
		decoder.DisallowUnknownFields()
		err := decoder.Decode(&f)
		if err == nil {
			f, err = faults.Add(f)
		}
		if err != nil {
			write(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		write(w, http.StatusCreated, f)
	})
	mux.HandleFunc("DELETE /faults", func(w http.ResponseWriter, _ *http.Request) {
		faults.Clear()
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // The client has gone, there is nobody to tell.
}
