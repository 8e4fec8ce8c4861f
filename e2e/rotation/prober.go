package rotation

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"hashistack/internal/poll"
)

const (
	// pace is how often each probe is made.
	pace = time.Second
	// probeTimeout bounds a probe. A user who waits longer would call it down.
	probeTimeout = 10 * time.Second
)

// probe is something that a user of the platform does. It may find out several things at once, and records each.
type probe func(ctx context.Context, tick int, record func(name string, err error))

// attempt is one finding of a probe.
type attempt struct {
	began time.Time
	took  time.Duration
	err   error
}

// prober makes probes once a second, whether the last ones have ended or not, and keeps what they found.
type prober struct {
	stop    context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex
	attempts map[string][]attempt
	pending  map[time.Time]int // probes that have not ended, by their beginning
}

func startProber(ctx context.Context, probes ...probe) *prober {
	ctx, stop := context.WithCancel(ctx)
	p := &prober{stop: stop, attempts: map[string][]attempt{}, pending: map[time.Time]int{}}
	p.running.Go(func() {
		ticker := time.NewTicker(pace)
		defer ticker.Stop()
		for tick := 0; ; tick++ {
			for _, probe := range probes {
				p.make(ctx, probe, tick)
			}
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	})
	return p
}

func (p *prober) make(ctx context.Context, probe probe, tick int) {
	began := time.Now()
	p.mu.Lock()
	p.pending[began]++
	p.mu.Unlock()
	p.running.Go(func() {
		probing, cancel := context.WithTimeout(ctx, probeTimeout)
		defer cancel()
		probe(probing, tick, func(name string, err error) {
			if ctx.Err() != nil {
				return // cut short by the end of the proof
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			p.attempts[name] = append(p.attempts[name], attempt{began, time.Since(began), err})
		})
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.pending[began]--; p.pending[began] == 0 {
			delete(p.pending, began)
		}
	})
}

// close ends all probes.
func (p *prober) close() {
	p.stop()
	p.running.Wait()
}

// Figures are what a probe found in a span of time.
type Figures struct {
	Probes  int     `json:"probes"`
	Failed  int     `json:"failed"`
	Median  seconds `json:"medianSeconds"`
	Slowest seconds `json:"slowestSeconds"`
	// Outage is the longest time without a success: from the beginning of a failed probe to that of the next one that succeeded, or to
	// the end of the last one.
	Outage seconds `json:"longestOutageSeconds"`
	// Errors are what failed probes said: the first few different ones.
	Errors []string `json:"errors,omitempty"`
	// LastFailed is when the last failed probe began.
	LastFailed time.Time `json:"lastFailed,omitzero"`
}

// mostErrors is how many different errors are kept.
const mostErrors = 3

// between sums up the probes that began in a span of time, by name, once all of them have ended.
func (p *prober) between(ctx context.Context, from, to time.Time) (map[string]Figures, error) {
	ended := func(context.Context) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		for began := range p.pending {
			if began.Before(to) {
				return errors.New("some still run")
			}
		}
		return nil
	}
	if err := poll.Until(ctx, 2*probeTimeout, "the last probes to end", ended); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	all := map[string]Figures{}
	for name, attempts := range p.attempts {
		all[name] = sum(attempts, from, to)
	}
	return all, nil
}

func sum(attempts []attempt, from, to time.Time) (f Figures) {
	var took []time.Duration
	var down time.Time // since when every probe has failed
	// They are in the order in which they ended.
	attempts = slices.SortedStableFunc(slices.Values(attempts), func(a, b attempt) int { return a.began.Compare(b.began) })
	for _, a := range attempts {
		if a.began.Before(from) || !a.began.Before(to) {
			continue
		}
		f.Probes++
		took = append(took, a.took)
		if a.err == nil {
			if !down.IsZero() {
				f.Outage = max(f.Outage, seconds(a.began.Sub(down).Seconds()))
			}
			down = time.Time{}
			continue
		}
		if down.IsZero() {
			down = a.began
		}
		f.Outage = max(f.Outage, seconds(a.began.Add(a.took).Sub(down).Seconds()))
		f.Failed++
		if a.began.After(f.LastFailed) {
			f.LastFailed = a.began
		}
		if said := a.err.Error(); len(f.Errors) < mostErrors && !slices.Contains(f.Errors, said) {
			f.Errors = append(f.Errors, said)
		}
	}
	if len(took) > 0 {
		slices.Sort(took)
		f.Median, f.Slowest = seconds(took[len(took)/2].Seconds()), seconds(took[len(took)-1].Seconds())
	}
	return f
}

// failing names the probes that failed in one of their last attempts, or were not attempted that often yet.
func (p *prober) failing(last int, names []string) (failing []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range names {
		attempts := p.attempts[name]
		recent := attempts[max(0, len(attempts)-last):]
		if len(recent) < last || slices.ContainsFunc(recent, func(a attempt) bool { return a.err != nil }) {
			failing = append(failing, name)
		}
	}
	return failing
}
