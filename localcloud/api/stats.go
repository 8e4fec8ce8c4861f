package api

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// CallCount says how often one route was called.
type CallCount struct {
	Method string `json:"method"`
	// Route is the pattern, such as /v1/servers/{id}; "unknown" counts the calls that no route matches.
	Route string `json:"route"`
	Calls int    `json:"calls"`
	// Errors counts the calls that were answered with a status of 400 or more.
	Errors int `json:"errors"`
	// Limited counts the errors of the rate limit.
	Limited int `json:"limited,omitempty"`
}

type stats struct {
	mu     sync.Mutex
	counts map[[2]string]*CallCount
}

func (s *stats) count(method, pattern string, status int) {
	_, route, found := strings.Cut(pattern, " ")
	if !found {
		route = "unknown"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts == nil {
		s.counts = map[[2]string]*CallCount{}
	}
	key := [2]string{method, route}
	if s.counts[key] == nil {
		s.counts[key] = &CallCount{Method: method, Route: route}
	}
	s.counts[key].Calls++
	if status >= 400 {
		s.counts[key].Errors++
	}
	if status == http.StatusTooManyRequests {
		s.counts[key].Limited++
	}
}

// Stats returns the calls per route since the start or the last ResetStats, most called first.
func (a *API) Stats() []CallCount {
	a.stats.mu.Lock()
	defer a.stats.mu.Unlock()
	list := make([]CallCount, 0, len(a.stats.counts))
	for _, c := range a.stats.counts {
		list = append(list, *c)
	}
	slices.SortFunc(list, func(x, y CallCount) int {
		return cmp.Or(cmp.Compare(y.Calls, x.Calls), cmp.Compare(x.Route, y.Route), cmp.Compare(x.Method, y.Method))
	})
	return list
}

// ResetStats starts counting anew.
func (a *API) ResetStats() {
	a.stats.mu.Lock()
	defer a.stats.mu.Unlock()
	a.stats.counts = nil
}
