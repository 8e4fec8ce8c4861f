package membership

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// walker is a machine that leaves when it is told to, and is back when the test says so.
type walker struct {
	name     string
	left     atomic.Bool
	returned atomic.Bool
	needed   atomic.Bool // by the others
	refuses  error
}

func (w *walker) String() string { return w.name }

func (w *walker) spared(context.Context) error {
	if w.needed.Load() {
		return errors.New("the others cannot do without " + w.name)
	}
	return nil
}

func (w *walker) leave(context.Context) error {
	w.left.Store(w.refuses == nil)
	return w.refuses
}

func (w *walker) back(context.Context) error {
	if !w.returned.Load() {
		return errors.New("its agent is not alive")
	}
	return nil
}

// street is a lane with machines that want to leave.
type street struct {
	*fleet
	args    Args
	walkers []*walker
	errs    chan error
	running sync.WaitGroup
}

func newStreet(names ...string) *street {
	s := &street{fleet: newFleet(), args: Args{Lane: "servers", AtOnce: 1, Timeout: "10s"}, errs: make(chan error, len(names))}
	for _, name := range names {
		s.walkers = append(s.walkers, &walker{name: name})
	}
	return s
}

// send has all machines leave at once, as Pulumi does.
func (s *street) send(ctx context.Context) {
	for _, w := range s.walkers {
		args := s.args
		args.Machine = w.name
		s.running.Go(func() { s.errs <- s.leave(ctx, w, args) })
	}
}

func (s *street) away() (names []string) {
	for _, w := range s.walkers {
		if w.left.Load() && !w.returned.Load() {
			names = append(names, w.name)
		}
	}
	return names
}

// bringBack lets the machines that are away come back until all have left, and returns the most that were away at once.
func (s *street) bringBack(t *testing.T) (most int) {
	t.Helper()
	for range s.walkers {
		require.Eventually(t, func() bool { return len(s.away()) >= 1 }, 10*time.Second, time.Millisecond)
		require.NoError(t, <-s.errs)
		most = max(most, len(s.away()))
		for _, w := range s.walkers {
			if w.left.Load() && !w.returned.Load() {
				w.returned.Store(true)
				break
			}
		}
	}
	return most
}

func TestMachinesAreReplacedOneAfterTheOther(t *testing.T) {
	s := newStreet("server-1", "server-2", "server-3")
	for _, w := range s.walkers {
		s.expect(w.name, false)
	}
	s.send(t.Context())
	assert.Equal(t, 1, s.bringBack(t))
	s.running.Wait()
}

func TestAFewMachinesAtOnce(t *testing.T) {
	s := newStreet("client-1", "client-2", "client-3", "client-4")
	s.args.AtOnce = 2
	for _, w := range s.walkers {
		s.expect(w.name, false)
	}
	s.send(t.Context())
	require.Eventually(t, func() bool { return len(s.away()) == 2 }, 10*time.Second, time.Millisecond)
	assert.Equal(t, 2, s.bringBack(t))
	s.running.Wait()
}

// No machine waits for one that is removed for good: the others of its lane leave when their clusters can do without them.
func TestRemovedMachinesAreNotWaitedFor(t *testing.T) {
	s := newStreet("client-3", "client-4", "client-5")
	s.send(t.Context())
	s.running.Wait()
	for range s.walkers {
		require.NoError(t, <-s.errs)
	}
	assert.Len(t, s.away(), 3)
}

// Where a new machine of the same name stands already, it is not made to leave: it was the old one that had to.
func TestAMachineThatIsGone(t *testing.T) {
	s := newStreet("server-1")
	s.expect("server-1", true)
	s.send(t.Context())
	require.NoError(t, <-s.errs)
	assert.Empty(t, s.away())
}

// A machine that does not come back stops all that have yet to leave.
func TestAMachineThatDoesNotComeBack(t *testing.T) {
	s := newStreet("server-1", "server-2", "server-3")
	s.args.Timeout = "300ms"
	for _, w := range s.walkers {
		s.expect(w.name, false)
	}
	s.send(t.Context())
	s.running.Wait()
	close(s.errs)
	var said []error
	for err := range s.errs {
		if err != nil {
			said = append(said, err)
		}
	}
	require.Len(t, said, 2)
	require.Len(t, s.away(), 1)
	for _, err := range said {
		require.ErrorContains(t, err, "no machine has left or come back for 300ms")
		assert.ErrorContains(t, err, s.away()[0]+" is not back: its agent is not alive")
	}
}

// An update that was interrupted has left a machine half gone: the others cannot leave before it, in whatever order they came.
func TestTheOneThatCanGoGoesFirst(t *testing.T) {
	s := newStreet("server-1", "server-2", "server-3")
	for _, w := range s.walkers {
		s.expect(w.name, false)
		w.needed.Store(w.name != "server-2")
	}
	s.send(t.Context())
	require.NoError(t, <-s.errs)
	assert.Equal(t, []string{"server-2"}, s.away())
	for _, w := range s.walkers {
		w.needed.Store(false)
	}
	s.walkers[1].returned.Store(true)
	require.NoError(t, <-s.errs)
	require.Len(t, s.away(), 1)
	s.walkers[0].returned.Store(true)
	s.walkers[2].returned.Store(true)
	require.NoError(t, <-s.errs)
	s.running.Wait()
}

// One that cannot leave stays, and lets others try.
func TestAMachineThatCannotLeave(t *testing.T) {
	s := newStreet("server-1", "server-2")
	s.walkers[0].refuses = errors.New("it hangs")
	for _, w := range s.walkers {
		s.expect(w.name, false)
	}
	s.send(t.Context())
	s.running.Wait()
	assert.Equal(t, []string{"server-2"}, s.away())
}

func TestWaitForTheTurnIsInterrupted(t *testing.T) {
	s := newStreet("server-1", "server-2")
	for _, w := range s.walkers {
		s.expect(w.name, false)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	s.send(ctx)
	require.NoError(t, <-s.errs)
	interrupt()
	require.ErrorContains(t, <-s.errs, "it is safe to run again")
	s.running.Wait()
	assert.Len(t, s.away(), 1)
}
