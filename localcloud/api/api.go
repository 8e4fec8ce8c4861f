// Package api implements version 1 of the Hetzner Cloud API. It answers from state in memory, and carries out what it
// is asked for on a machine.Runtime.
//
// One file per kind of resource holds its record, its wire form and its routes; dispatch.go, list.go and action.go hold
// what they share.
package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"hashistack/localcloud/fault"
	"hashistack/localcloud/machine"
	"hashistack/localcloud/store"
)

// firstID keeps IDs clear of the small numbers that a mistaken test or config would hit by chance.
const firstID = 1000

// Limits are how many resources of a kind a project may have.
type Limits struct {
	Servers, PrimaryIPs, Networks, Firewalls, PlacementGroups int
}

// DefaultLimits are those of a Hetzner project whose initial limits were raised a little.
var DefaultLimits = Limits{Servers: 50, PrimaryIPs: 100, Networks: 50, Firewalls: 50, PlacementGroups: 50}

// Options say what an API works with. All fields are required unless they say otherwise.
type Options struct {
	Runtime machine.Runtime
	// State is where the API keeps its state. The caller closes it, after Close.
	State *store.Dir
	// Token is the one API token of the one project.
	Token string
	// PublicRange is where public addresses come from. Its first address is the gateway's.
	PublicRange netip.Prefix
	// RateLimit is how many requests an hour the project may make, and the size of the burst; 0 means no limit. Hetzner's
	// default is 3600.
	RateLimit int
	Limits    Limits
	Faults    *fault.Set
	Log       *slog.Logger
}

// API is one project of the local Hetzner Cloud.
type API struct {
	Options
	mux     *http.ServeMux
	limiter *rate.Limiter
	stats   stats

	// ctx ends when Close is called; actions then stop and stay unfinished in the state.
	ctx   context.Context
	stop  context.CancelFunc
	tasks sync.WaitGroup

	// mu guards state and queues. Handlers run with it held; calls to the runtime, which take long, run without it.
	mu     sync.Mutex
	state  state
	queues map[resource][]int64
	// works are the commands an action can have, fixed once New returns.
	works map[string]work
}

// New loads the state and takes up the actions that were under way when it was saved.
func New(opts Options) (*API, error) {
	a := &API{Options: opts, mux: http.NewServeMux(), queues: map[resource][]int64{}, works: map[string]work{}}
	a.state.LastID = firstID
	if _, err := opts.State.Load(&a.state); err != nil {
		return nil, err
	}
	if err := a.state.check(); err != nil {
		return nil, fmt.Errorf("the saved state is broken, remove it with `localcloud down`: %w", err)
	}
	limit := rate.Inf
	if opts.RateLimit > 0 {
		limit = rate.Every(time.Hour / time.Duration(opts.RateLimit))
	}
	a.limiter = rate.NewLimiter(limit, opts.RateLimit)
	a.ctx, a.stop = context.WithCancel(context.Background())
	a.routes()

	if err := a.resume(); err != nil {
		a.stop()
		return nil, fmt.Errorf("take up the saved state: %w", err)
	}
	return a, nil
}

// resume brings machines and state in line again after the process, or the whole host, was down.
func (a *API) resume() error {
	for _, n := range a.state.Networks.All() {
		if n.Changing {
			if err := a.endNetwork(n); err != nil {
				return err
			}
		}
	}
	for _, s := range a.state.Servers.All() {
		// The rules live in the host's kernel and are gone after a reboot.
		firewalled, rules := a.rules(s)
		if err := a.Runtime.SetFirewall(a.ctx, s.ID, firewalled, rules); err != nil && !errors.Is(err, machine.ErrNotFound) {
			return fmt.Errorf("restore the firewall of server %s: %w", s.Name, err)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, act := range a.state.Actions.All() {
		if act.running() {
			a.Log.Info("resuming action", "action", act.ID, "command", act.Command)
			act.resumed = true
			a.enqueue(act)
		}
	}
	return a.save()
}

// Close interrupts the running actions and waits until they have stopped. They continue when the state is loaded again.
// Machines are left as they are.
func (a *API) Close() {
	a.stop()
	a.tasks.Wait()
}

// ServeHTTP answers one request to the API.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.serve(w, r) }

// save writes the state. The caller must report an error: a client must not be told of a change that was not saved.
func (a *API) save() error {
	if err := a.State.Save(&a.state); err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	return nil
}

// outside runs slow work without the lock. Records that were looked up before may have changed or gone afterwards.
func (a *API) outside(work func()) {
	a.mu.Unlock()
	defer a.mu.Lock()
	work()
}

func (a *API) routes() {
	a.actionRoutes()
	a.catalogRoutes()
	a.serverRoutes()
	a.networkRoutes()
	a.firewallRoutes()
	a.primaryIPRoutes()
	a.placementGroupRoutes()
	a.sshKeyRoutes()
	a.missingRoutes()
}
