// Package fault holds the named faults that a person or a test asks the local cloud to show. All are off until set, each
// is counted down as it strikes, and what strikes is deterministic.
package fault

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// Kind names a fault.
type Kind string

// The faults the local cloud can show.
const (
	// Error answers matching API calls with an error and does not carry them out.
	Error Kind = "error"
	// SlowAction makes matching actions wait before they start their work.
	SlowAction Kind = "slow_action"
	// NoCapacity refuses to create servers: resource_unavailable.
	NoCapacity Kind = "no_capacity"
	// BootHangs creates servers that power on but whose boot never finishes.
	BootHangs Kind = "boot_hangs"
)

var kinds = []Kind{Error, SlowAction, NoCapacity, BootHangs}

// Fault is one fault and how often it strikes.
type Fault struct {
	// ID is given by Set.Add.
	ID int `json:"id"`
	// Kind decides which of the other fields matter.
	Kind Kind `json:"kind"`
	// Times is how many more times the fault strikes.
	Times int `json:"times"`

	// Method and Path pick the API calls of an Error; empty means any. Path is a pattern of path.Match, without the /v1 in
	// front: "/servers/*/actions/reboot".
	Method string `json:"method,omitempty"`
	Path   string `json:"path,omitempty"`
	// Status, Code and Message are what an Error answers.
	Status  int    `json:"status,omitempty"`
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`

	// Command picks the actions of a SlowAction, such as create_server; empty means any.
	Command string `json:"command,omitempty"`
	// DelayMS is how long a SlowAction waits, in milliseconds.
	DelayMS int64 `json:"delay_ms,omitempty"`

	// Server picks the servers of a NoCapacity or BootHangs by name, with a pattern of path.Match: "client-*"; empty means
	// any.
	Server string `json:"server,omitempty"`
}

func (f Fault) validate() error {
	switch {
	case !slices.Contains(kinds, f.Kind):
		return fmt.Errorf("fault kind %q: must be one of %q", f.Kind, kinds)
	case f.Times < 1:
		return fmt.Errorf("fault times: must be 1 or more, got %d", f.Times)
	case f.Kind == Error && (f.Status < 400 || f.Status > 599):
		return fmt.Errorf("fault status: must be an HTTP status from 400 to 599, got %d", f.Status)
	case f.Kind == Error && f.Code == "":
		return fmt.Errorf("fault code: an error needs one, such as server_error")
	case f.Kind == SlowAction && f.DelayMS < 1:
		return fmt.Errorf("fault delay_ms: must be 1 or more, got %d", f.DelayMS)
	}
	for field, pattern := range map[string]string{"path": f.Path, "server": f.Server} {
		if _, err := path.Match(pattern, ""); err != nil {
			return fmt.Errorf("fault %s %q: %w", field, pattern, err)
		}
	}
	return nil
}

// Set holds the faults that are on. It is safe for concurrent use; the zero value has none.
type Set struct {
	mu     sync.Mutex
	lastID int
	faults []*Fault
	// changed is closed, and replaced, whenever faults are cleared, so that a waiting action notices.
	changed chan struct{}
}

// Add turns a fault on and returns it with its ID.
func (s *Set) Add(f Fault) (Fault, error) {
	if err := f.validate(); err != nil {
		return Fault{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastID++
	f.ID = s.lastID
	s.faults = append(s.faults, &f)
	return f, nil
}

// List returns the faults that are still on.
func (s *Set) List() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Fault, 0, len(s.faults))
	for _, f := range s.faults {
		list = append(list, *f)
	}
	return list
}

// Clear turns all faults off. Actions that a SlowAction holds back go on at once.
func (s *Set) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// take counts down the first fault that matches and returns it.
func (s *Set) take(match func(*Fault) bool) (Fault, bool) {
	for i, f := range s.faults {
		if !match(f) {
			continue
		}
		f.Times--
		if f.Times == 0 {
			s.faults = slices.Delete(s.faults, i, i+1)
		}
		return *f, true
	}
	return Fault{}, false
}

// Call returns the Error that strikes an API call, if one does.
func (s *Set) Call(method, apiPath string) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.take(func(f *Fault) bool {
		return f.Kind == Error && (f.Method == "" || strings.EqualFold(f.Method, method)) && matches(f.Path, apiPath)
	})
}

// Strikes says whether a fault of a kind that concerns servers (NoCapacity, BootHangs) strikes the one of this name now.
func (s *Set) Strikes(kind Kind, server string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, struck := s.take(func(f *Fault) bool { return f.Kind == kind && matches(f.Server, server) })
	return struck
}

// matches says whether a pattern, which was checked when its fault was added, is empty or fits.
func matches(pattern, name string) bool {
	matched, _ := path.Match(pattern, name)
	return pattern == "" || matched
}

// Hold waits as long as a SlowAction wants this action to wait: until its delay is over, the faults are cleared, or ctx
// ends.
func (s *Set) Hold(ctx context.Context, command string) {
	s.mu.Lock()
	f, struck := s.take(func(f *Fault) bool {
		return f.Kind == SlowAction && (f.Command == "" || f.Command == command)
	})
	if !struck {
		s.mu.Unlock()
		return
	}
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	changed := s.changed
	s.mu.Unlock()

	timer := time.NewTimer(time.Duration(f.DelayMS) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-changed:
	case <-ctx.Done():
	}
}
