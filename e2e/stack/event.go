package stack

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"
)

// Event is an engine event of pulumi, of the kinds that are used here.
type Event struct {
	// At is when it was read from the log, some milliseconds after pulumi wrote it: the event itself has only whole seconds.
	At time.Time `json:"-"`

	Prelude    *struct{}   `json:"preludeEvent"`
	Begin      *StepEvent  `json:"resourcePreEvent"`
	End        *StepEvent  `json:"resOutputsEvent"`
	Failed     *StepEvent  `json:"resOpFailedEvent"`
	Diagnostic *Diagnostic `json:"diagnosticEvent"`
	Summary    *Summary    `json:"summaryEvent"`
}

// StepEvent is the begin, the end or the failure of what the engine does to one resource.
type StepEvent struct {
	Metadata struct {
		Op   string `json:"op"`
		URN  string `json:"urn"`
		Type string `json:"type"`
		New  *struct {
			Custom bool `json:"custom"` // false for components
		} `json:"new"`
	} `json:"metadata"`
	Planning bool `json:"planning"` // in a preview
}

// Touches tells whether a resource of a type is really changed, not merely previewed or found as it was; name is the
// resource's, or empty for any.
func (e *StepEvent) Touches(kind, name string) bool {
	m := e.Metadata
	return !e.Planning && m.Op != "same" && m.Type == kind && (name == "" || strings.HasSuffix(m.URN, "::"+name))
}

// Diagnostic is a message of a resource, or of the engine if it has no URN.
type Diagnostic struct {
	URN       string `json:"urn"`
	Message   string `json:"message"`
	Severity  string `json:"severity"`
	Ephemeral bool   `json:"ephemeral"` // a status that the next one replaces
}

// Summary ends an operation.
type Summary struct {
	DurationSeconds int            `json:"durationSeconds"`
	ResourceChanges map[string]int `json:"resourceChanges"`
	Result          string         `json:"result"`
}

// Changes are what an operation did to how many resources, by pulumi's summary. It is an error if there is none: nothing is
// known then.
func Changes(events []Event) (map[string]int, error) {
	for _, e := range slices.Backward(events) {
		if e.Summary != nil {
			return e.Summary.ResourceChanges, nil
		}
	}
	return nil, fmt.Errorf("none of pulumi's %d events is a summary", len(events))
}

// pollInterval is how often a growing event log is looked at.
const pollInterval = 20 * time.Millisecond

// follow reads an event log while pulumi writes it and returns the events when pulumi has ended.
func follow(path string, ended <-chan struct{}, each func(Event)) []Event {
	var (
		events []Event
		file   *os.File
		reader *bufio.Reader
		line   []byte
	)
	defer func() {
		if file != nil {
			_ = file.Close() // only read
		}
	}()
	last := false
	for {
		if file == nil {
			opened, err := os.Open(path)
			switch {
			case err == nil:
				file, reader = opened, bufio.NewReader(opened)
			case !errors.Is(err, fs.ErrNotExist) || last:
				return events
			}
		}
		for file != nil {
			part, err := reader.ReadBytes('\n')
			line = append(line, part...)
			if err != nil { // io.EOF: the rest of the line is still to come
				if !errors.Is(err, io.EOF) {
					return events
				}
				break
			}
			event := Event{At: time.Now()}
			if json.Unmarshal(line, &event) == nil { // pulumi that is killed leaves half a line
				events = append(events, event)
				if each != nil {
					each(event)
				}
			}
			line = nil
		}
		if last {
			return events
		}
		select {
		case <-ended:
			last = true // once more for what came in between
		case <-time.After(pollInterval):
		}
	}
}
