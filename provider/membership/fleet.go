package membership

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"hashistack/provider/internal/explain"
	"hashistack/provider/internal/wait"
)

// fleet are the machines that one update replaces or removes. Pulumi deletes many memberships at the same time; the fleet
// makes their machines take turns.
type fleet struct {
	mu         sync.Mutex
	lanes      map[string]*lane
	departures map[string]departure // by machine
}

// departure says what comes after a machine that leaves.
type departure int

const (
	// removed: nothing. The machine goes for good.
	removed departure = iota
	// replaced: a new machine takes its place, under the same name.
	replaced
	// gone: a new machine stands in its place already. Nothing is left that could leave.
	gone
)

func newFleet() *fleet { return &fleet{lanes: map[string]*lane{}, departures: map[string]departure{}} }

// expect notes that a machine is going to be replaced, or already is.
func (f *fleet) expect(machine string, already bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.departures[machine] = replaced
	if already {
		f.departures[machine] = gone
	}
}

func (f *fleet) lane(name string) *lane {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lanes[name] == nil {
		f.lanes[name] = &lane{turn: make(chan struct{}, 1)}
	}
	return f.lanes[name]
}

// leaver is a machine that can leave its clusters.
type leaver interface {
	fmt.Stringer
	// spared returns nil if its clusters can do without it now.
	spared(ctx context.Context) error
	leave(ctx context.Context) error
	// back returns nil if a new machine has taken the place of this one, which left.
	back(ctx context.Context) error
}

// leave makes a machine leave its clusters, in its turn.
func (f *fleet) leave(ctx context.Context, m leaver, args Args) error {
	f.mu.Lock()
	departure := f.departures[args.Machine]
	f.mu.Unlock()
	if departure == gone {
		return nil
	}
	return f.lane(args.Lane).leave(ctx, m, args, departure != removed)
}

// lane is where machines leave one after the other. The next one leaves when its clusters can do without it, and when
// those that left before it are back; only a few may be away at once.
//
// Machines leave in the order in which they can, not in the order in which they came: an update that was interrupted may
// have left a machine half gone, and no other can leave before that one.
type lane struct {
	turn chan struct{} // holds one while a machine has its turn
	away []leaver      // left, and did not come back yet
	// moved is when a machine last left or came back, or when the first one came.
	moved time.Time
	// stuck is why nobody may leave any more: for too long nobody could.
	stuck error
}

func (l *lane) leave(ctx context.Context, m leaver, args Args, returns bool) error {
	patience, err := wait.ParseTimeout(args.Timeout)
	if err != nil {
		return fmt.Errorf("timeout: %w", err)
	}
	return wait.Until(ctx, m.String()+" to have its turn and leave", func(ctx context.Context) error {
		select {
		case l.turn <- struct{}{}:
			defer func() { <-l.turn }()
		default:
			return errors.New("it is another's turn")
		}
		if l.stuck != nil {
			return wait.Final(l.stuck)
		}
		if l.moved.IsZero() {
			l.moved = time.Now()
		}
		if err := l.room(ctx, m, args.AtOnce); err != nil {
			if ctx.Err() == nil && time.Since(l.moved) > patience {
				l.stuck = fmt.Errorf("no machine has left or come back for %s. Mend what is missing, or replace it, and run `pulumi up` again: %w", patience, err)
				return wait.Final(l.stuck)
			}
			return err
		}
		leaving, cancel := context.WithTimeoutCause(ctx, patience, wait.ErrTimeout{After: patience})
		defer cancel()
		if err := m.leave(leaving); err != nil {
			return wait.Final(err)
		}
		l.moved = time.Now()
		if returns {
			l.away = append(l.away, m)
		}
		return nil
	})
}

// room returns nil if few enough machines are away, and the clusters of this one can do without it.
func (l *lane) room(ctx context.Context, m leaver, atOnce int) error {
	var missing []string
	before := len(l.away)
	l.away = slices.DeleteFunc(l.away, func(away leaver) bool {
		err := away.back(ctx)
		if err != nil {
			missing = append(missing, fmt.Sprintf("%s is not back: %s", away, explain.Error(err)))
		}
		return err == nil
	})
	if len(l.away) < before {
		l.moved = time.Now()
	}
	if len(l.away) >= atOnce {
		return errors.New(strings.Join(missing, "; "))
	}
	return m.spared(ctx)
}
