package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// fleet are the machines of one update, as far as they go or have gone. Pulumi deletes memberships at the same time, as many as
// it has hands; the fleet makes them take turns.
type fleet struct {
	mu    sync.Mutex
	lanes map[string]*lane
	fates map[string]fate // by machine
}

// fate is what is known of a machine whose membership is to be another.
type fate int

const (
	goes fate = iota // for good
	replaced
	// gone is a machine in whose place another stands already, with the same name. Nothing of it is left that could leave.
	gone
)

func newFleet() *fleet { return &fleet{lanes: map[string]*lane{}, fates: map[string]fate{}} }

// expect notes that a machine is going to be replaced, or already is.
func (f *fleet) expect(machine string, already bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fates[machine] = replaced
	if already {
		f.fates[machine] = gone
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
	// back returns nil if another machine has taken the place of this one, which left.
	back(ctx context.Context) error
}

// leave makes a machine leave its clusters, in its turn.
func (f *fleet) leave(ctx context.Context, m leaver, args MembershipArgs) error {
	f.mu.Lock()
	fate := f.fates[args.Machine]
	f.mu.Unlock()
	if fate == gone {
		return nil
	}
	return f.lane(args.Lane).leave(ctx, m, args, fate == replaced)
}

// lane is where machines go one after another: the next when those before it are back, but for as many as may be away, and when
// its clusters can do without it. The order is theirs, not that of their coming: an update that was interrupted may have left a
// machine half gone, and no other can go before that one.
type lane struct {
	turn chan struct{} // holds one while a machine has its turn
	away []leaver      // left, and did not come back yet
	// moved is when a machine last left or came back, or when the first one came.
	moved time.Time
	// stuck is why nobody may go any more: none could for too long.
	stuck error
}

func (l *lane) leave(ctx context.Context, m leaver, args MembershipArgs, returns bool) error {
	patience, err := parseTimeout(args.Timeout)
	if err != nil {
		return fmt.Errorf("timeout: %w", err)
	}
	return until(ctx, m.String()+" to have its turn and leave", func(ctx context.Context) error {
		select {
		case l.turn <- struct{}{}:
			defer func() { <-l.turn }()
		default:
			return errors.New("it is another's turn")
		}
		if l.stuck != nil {
			return final(l.stuck)
		}
		if l.moved.IsZero() {
			l.moved = time.Now()
		}
		if err := l.room(ctx, m, args.AtOnce); err != nil {
			if ctx.Err() == nil && time.Since(l.moved) > patience {
				l.stuck = fmt.Errorf("no machine has left or come back for %s. Mend what is missing, or replace it, and run `pulumi up` again: %w", patience, err)
				return final(l.stuck)
			}
			return err
		}
		leaving, cancel := context.WithTimeoutCause(ctx, patience, errTimeout{patience})
		defer cancel()
		if err := m.leave(leaving); err != nil {
			return final(err)
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
			missing = append(missing, fmt.Sprintf("%s is not back: %s", away, describe(err)))
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
