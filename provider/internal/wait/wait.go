// Package wait has the bounded waits of the resources. A wait polls until a probe succeeds, shows on the resource's row
// what it wants and what it got, and says both when it gives up.
package wait

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"

	"hashistack/provider/internal/explain"
)

const (
	// defaultTimeout covers the boot of a machine with its package installations on a slow day.
	defaultTimeout = "10m"

	firstPause   = 100 * time.Millisecond
	longestPause = 2 * time.Second
)

// DescribeTimeout describes a resource's input `timeout` in the schema.
func DescribeTimeout(a infer.Annotator, timeout *string) {
	a.Describe(timeout, "How long to wait, all in all, as a duration like `90s` or `10m`.")
	a.SetDefault(timeout, defaultTimeout)
}

// ErrTimeout is the cause of a context that ran into a resource's own timeout.
type ErrTimeout struct{ After time.Duration }

func (e ErrTimeout) Error() string { return fmt.Sprintf("timed out after %s", e.After) }

// ParseTimeout reads a resource's input `timeout`.
func ParseTimeout(timeout string) (time.Duration, error) {
	d, err := time.ParseDuration(timeout)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("must be a positive duration like 90s or 10m, got %q", timeout)
	}
	return d, nil
}

// Within bounds everything that a resource does in one operation by its input `timeout`.
func Within(ctx context.Context, timeout string) (context.Context, context.CancelFunc, error) {
	d, err := ParseTimeout(timeout)
	if err != nil {
		return nil, nil, fmt.Errorf("timeout: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, d, ErrTimeout{d})
	return ctx, cancel, nil
}

// Until calls probe until it returns nil. It gives up at an error marked by Final, or when ctx ends. A probe bounds its
// requests itself; its error says what was found instead of want.
func Until(ctx context.Context, want string, probe func(context.Context) error) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = firstPause, longestPause

	var got, shown string
	operation := func() (struct{}, error) {
		err := probe(ctx)
		// An attempt that the end of the wait cut short has found nothing new.
		if err != nil && ctx.Err() == nil || got == "" {
			got = explain.Error(err)
		}
		return struct{}{}, err
	}
	show := func(error, time.Duration) {
		if got != shown {
			shown = got
			p.GetLogger(ctx).InfoStatusf("waiting for %s, got: %s", want, got)
		}
	}
	_, err := backoff.Retry(ctx, operation, backoff.WithBackOff(pause), backoff.WithNotify(show), backoff.WithMaxElapsedTime(0))

	var timeout ErrTimeout
	switch cause := context.Cause(ctx); {
	case err == nil:
		return nil
	case cause == nil:
		return err
	case errors.As(cause, &timeout), errors.Is(cause, context.DeadlineExceeded):
		return fmt.Errorf("%w: want %s, got: %s", cause, want, got)
	default:
		return fmt.Errorf("interrupted while waiting for %s, got: %s; it is safe to run again: %w", want, got, cause)
	}
}

// Final marks an error that no waiting will change.
func Final(err error) error { return backoff.Permanent(err) }

func isFinal(err error) bool {
	var permanent *backoff.PermanentError
	return errors.As(err, &permanent)
}

// AnyOf is a probe that asks the servers in turn until one answers. A final error ends the round; otherwise its error
// holds what each of them said.
func AnyOf[Server fmt.Stringer](servers []Server, ask func(context.Context, Server) error) func(context.Context) error {
	return func(ctx context.Context) error {
		said := make([]string, 0, len(servers))
		for _, server := range servers {
			err := ask(ctx, server)
			if err == nil || isFinal(err) {
				return err
			}
			said = append(said, server.String()+": "+explain.Error(err))
		}
		return errors.New(strings.Join(said, "; "))
	}
}

// Gone tells whether a cluster has lost something. ask returns nil if a server knows it, and unknown if it does not. One server that
// does not may lag behind, or be alone: it is gone when none knows it and more than half of all do not. In any doubt the error holds
// what each of them said.
func Gone[Server fmt.Stringer](ctx context.Context, servers []Server, unknown error, ask func(context.Context, Server) error) (bool, error) {
	without, said := 0, make([]string, 0, len(servers))
	for _, server := range servers {
		err := ask(ctx, server)
		if err == nil {
			return false, nil
		}
		if errors.Is(err, unknown) {
			without++
		}
		said = append(said, server.String()+": "+explain.Error(err))
	}
	if without > len(servers)/2 {
		return true, nil
	}
	return false, errors.New(strings.Join(said, "; "))
}
