// Package bench turns what pulumi reports of an operation into figures and a picture.
package bench

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"hashistack/e2e/stack"
)

// Bar is the time that one resource, or one phase, took.
type Bar struct {
	URN  string `json:"urn,omitempty"`
	Kind string `json:"kind"` // the resource's type, "phase" for a phase
	Name string `json:"name"`
	Op   string `json:"op,omitempty"` // create, update, delete …
	// Start counts from the beginning of the operation.
	Start Seconds `json:"start"`
	End   Seconds `json:"end"`
}

// Seconds are written with the precision that measuring has.
type Seconds float64

// MarshalJSON rounds to hundredths.
func (s Seconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(s), 'f', 2, 64), nil
}

// Timeline lists the steps of an operation in the order in which they began. It leaves out steps that had nothing to do
// ("same"), and components, the stack among them, because these do nothing themselves.
func Timeline(began time.Time, events []stack.Event) []Bar {
	started := map[string]time.Time{}
	var bars []Bar
	for _, e := range events {
		if e.Begin != nil && !e.Begin.Planning {
			started[e.Begin.Metadata.URN+e.Begin.Metadata.Op] = e.At
		}
		if e.End == nil || e.End.Planning {
			continue
		}
		m := e.End.Metadata
		start, ok := started[m.URN+m.Op]
		if !ok || m.Op == "same" || m.Type == "pulumi:pulumi:Stack" || m.New != nil && !m.New.Custom {
			continue
		}
		bars = append(bars, Bar{
			URN: m.URN, Kind: m.Type, Name: m.URN[strings.LastIndex(m.URN, "::")+2:], Op: m.Op,
			Start: Seconds(start.Sub(began).Seconds()), End: Seconds(e.At.Sub(began).Seconds()),
		})
	}
	slices.SortStableFunc(bars, func(a, b Bar) int { return cmp.Compare(a.Start, b.Start) })
	return bars
}

// CriticalPath is the chain of resources that decided when the operation ended. It goes back from the resource that
// ended last, each time to the dependency that ended last. dependencies maps a URN to the URNs that it waits for.
func CriticalPath(bars []Bar, dependencies map[string][]string) []Bar {
	byURN := map[string]Bar{}
	for _, b := range bars {
		byURN[b.URN] = b
	}
	last := func(candidates []Bar) (found Bar, ok bool) {
		if len(candidates) == 0 {
			return Bar{}, false
		}
		return slices.MaxFunc(candidates, func(a, b Bar) int { return cmp.Compare(a.End, b.End) }), true
	}
	var path []Bar
	for bar, ok := last(bars); ok; {
		path = append(path, bar)
		var waited []Bar
		for _, urn := range dependencies[bar.URN] {
			// A component ends when its children are declared, which is no work of its own.
			if d, known := byURN[urn]; known && d.Start < bar.Start {
				waited = append(waited, d)
			}
		}
		bar, ok = last(waited)
	}
	slices.Reverse(path)
	return path
}
