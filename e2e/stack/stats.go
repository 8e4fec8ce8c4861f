package stack

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// Calls says how often a route of the Hetzner API was called.
type Calls struct {
	Method string `json:"method"`
	Route  string `json:"route"`
	Calls  int    `json:"calls"`
	Errors int    `json:"errors"`
	// Limited are the errors for which the project had made too many calls.
	Limited int `json:"limited"`
}

// SetFault turns a fault of the local cloud on, as JSON; its README lists them.
func SetFault(ctx context.Context, fault string) error {
	return control(ctx, http.MethodPost, "/faults", fault)
}

// ClearFaults turns all faults off.
func ClearFaults(ctx context.Context) error { return control(ctx, http.MethodDelete, "/faults", "") }

// control tells the local cloud's control address to change something.
func control(ctx context.Context, method, path, body string) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+ControlAddress+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("control the local cloud: %w", err)
	}
	defer response.Body.Close() //nolint:errcheck // only read
	if response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("control the local cloud: %s %s: %s", method, path, response.Status)
	}
	return nil
}

// CallCounts reads the local cloud's counters.
func CallCounts(ctx context.Context) ([]Calls, error) {
	status, body, err := get(ctx, "http://"+ControlAddress+"/stats", "")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("status %d", status)
	}
	if err != nil {
		return nil, fmt.Errorf("read the local cloud's call counts: %w", err)
	}
	var answer struct {
		Calls []Calls `json:"calls"`
	}
	return answer.Calls, json.Unmarshal(body, &answer)
}

// ResetCalls sets the counters to zero.
func ResetCalls(ctx context.Context) error { return control(ctx, http.MethodDelete, "/stats", "") }

// Dependencies reads from the state which resources each one waits for when it is created, by URN.
func (s *Stack) Dependencies(ctx context.Context) (map[string][]string, error) {
	state, err := s.State(ctx, false)
	if err != nil {
		return nil, err
	}
	all := map[string][]string{}
	for _, r := range state.Resources {
		waits := []string{string(r.Parent)}
		for _, urn := range r.Dependencies {
			waits = append(waits, string(urn))
		}
		// A default provider is made only when its first resource has all that it waits for, so nothing waits for it.
		if i := strings.LastIndex(r.Provider, "::"); i > 0 && !strings.Contains(r.Provider, "::default") { // URN::ID
			waits = append(waits, r.Provider[:i])
		}
		all[string(r.URN)] = waits
	}
	return all, nil
}
