// Package poll waits for what other processes bring about.
package poll

import (
	"context"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Between two looks there is first a short rest, for what comes at once, then longer ones.
const (
	firstRest   = 20 * time.Millisecond
	longestRest = 250 * time.Millisecond
)

// Until calls try until it returns nil. When the time is over, the error says what was awaited, for how long, and what
// the last look found instead. An error marked by Final ends the wait at once.
func Until(ctx context.Context, timeout time.Duration, what string, try func(context.Context) error) error {
	began := time.Now()
	rest := backoff.NewExponentialBackOff()
	rest.InitialInterval, rest.MaxInterval = firstRest, longestRest
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var last error
	_, err := backoff.Retry(bounded, func() (struct{}, error) {
		err := try(bounded)
		if err != nil && (bounded.Err() == nil || last == nil) {
			last = err // not the error that the timeout itself causes: it says nothing
		}
		return struct{}{}, err
	}, backoff.WithBackOff(rest), backoff.WithMaxElapsedTime(0))
	waited := "waited"
	switch {
	case err == nil:
		return nil
	case bounded.Err() == nil:
		return fmt.Errorf("waiting for %s: %w", what, err) // a final one
	case ctx.Err() != nil:
		waited = "interrupted after waiting"
	}
	return fmt.Errorf("%s %s for %s: %w", waited, time.Since(began).Round(time.Second), what, last)
}

// Final marks an error that no waiting will change.
func Final(err error) error { return backoff.Permanent(err) }
