// Package poll waits for what other processes bring about.
package poll

import (
	"context"
	"fmt"
	"time"
)

// interval is how long to rest between two looks.
const interval = 250 * time.Millisecond

// Until calls try until it returns nil. When the time is over, the error says what was awaited, for how long, and what
// the last look found instead.
func Until(ctx context.Context, timeout time.Duration, what string, try func(context.Context) error) error {
	began := time.Now()
	parent := ctx
	ctx, cancel := context.WithTimeout(parent, timeout)
	defer cancel()
	var last error
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err // not the error that the timeout itself causes: it says nothing
		}
		select {
		case <-ctx.Done():
			waited := "waited"
			if parent.Err() != nil {
				waited = "interrupted after waiting"
			}
			return fmt.Errorf("%s %s for %s: %w", waited, time.Since(began).Round(time.Second), what, last)
		case <-time.After(interval):
		}
	}
}
