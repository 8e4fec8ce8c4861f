package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/hetznercloud/hcloud-go/v2/hcloud/schema"

	"hashistack/localcloud/store"
)

// keepActions is how many finished actions the state keeps; the oldest go first.
const keepActions = 1000

// resource names the thing an action works on.
type resource struct {
	Type string `json:"type"`
	ID   int64  `json:"id"`
}

func onServer(id int64) resource  { return resource{"server", id} }
func onNetwork(id int64) resource { return resource{"network", id} }

// action is the record of an asynchronous operation. It holds everything that its work needs, so that work that a
// restart interrupted can be done again. Every kind of work must therefore be safe to run twice.
type action struct {
	store.Meta            // Created is when the action started; it has no name.
	Command    string     `json:"command"`
	Status     string     `json:"status"`
	Progress   int        `json:"progress"`
	Finished   *time.Time `json:"finished"`
	ErrorCode  string     `json:"error_code,omitempty"`
	ErrorText  string     `json:"error_text,omitempty"`
	Resources  []resource `json:"resources"`
	// Target is the resource whose actions run one after the other.
	Target resource `json:"target"`
	// Other is the second resource of an action that joins two, such as the network that a server is attached to.
	Other int64 `json:"other,omitempty"`
	// Was is the range of a network before the action, for a change that fails.
	Was netip.Prefix `json:"was,omitzero"`

	// resumed is set when a restart interrupted an earlier attempt. How far that attempt got is not known.
	resumed bool
}

func (act *action) running() bool { return act.Status == string(hcloud.ActionStatusRunning) }

// work is what a command does.
type work struct {
	// do runs without the lock, because it may take long.
	do func(ctx context.Context, act action) error
	// done and failed run with the lock held, and bring the state in line with what do has done.
	done, failed func(act *action)
	// status is what the server shows while the action runs; empty leaves it as it is.
	status string
	// shared actions do not lock their server: they wait for their turn and let others start.
	shared bool
}

// start makes an action on target. It runs when the earlier actions on the same target are finished.
func (a *API) start(command string, target resource, others ...resource) *action {
	act := &action{
		Meta:      store.Meta{ID: a.state.nextID(), Created: time.Now().UTC()},
		Command:   command,
		Status:    string(hcloud.ActionStatusRunning),
		Resources: append([]resource{target}, others...),
		Target:    target,
	}
	if len(others) > 0 {
		act.Other = others[0].ID
	}
	if a.works[command].do == nil && a.works[command].done == nil {
		panic(fmt.Sprintf("command %s has no work", command))
	}
	a.state.Actions.Add(act)
	a.enqueue(act)
	return act
}

// enqueue hands the action to the runner of its target, and starts one where none runs.
func (a *API) enqueue(act *action) {
	// An existing queue has a runner, even if it is empty: the runner removes the queue when it ends.
	_, running := a.queues[act.Target]
	a.queues[act.Target] = append(a.queues[act.Target], act.ID)
	if !running {
		a.tasks.Go(func() { a.drain(act.Target) })
	}
}

// drain runs the queue of a target until it is empty.
func (a *API) drain(target resource) {
	for a.ctx.Err() == nil {
		a.mu.Lock()
		if len(a.queues[target]) == 0 {
			delete(a.queues, target)
			a.mu.Unlock()
			return
		}
		act, _ := a.state.Actions.Get(a.queues[target][0])
		snapshot := *act
		a.mu.Unlock()

		err := a.run(snapshot)
		if a.ctx.Err() != nil {
			return // Close was called: the action stays as it is and is resumed.
		}

		a.mu.Lock()
		a.finish(act, err)
		a.queues[target] = a.queues[target][1:]
		if err := a.save(); err != nil {
			a.Log.Error("action finished but its state was not saved", "action", act.ID, "error", err)
		}
		a.mu.Unlock()
	}
}

func (a *API) run(act action) error {
	a.Faults.Hold(a.ctx, act.Command)
	if err := a.ctx.Err(); err != nil {
		return err
	}
	if do := a.works[act.Command].do; do != nil {
		return do(a.ctx, act)
	}
	return nil
}

func (a *API) finish(act *action, err error) {
	now := time.Now().UTC()
	act.Finished, act.Progress = &now, 100
	w := a.works[act.Command]
	if err == nil {
		act.Status = string(hcloud.ActionStatusSuccess)
		if w.done != nil {
			w.done(act)
		}
	} else {
		act.Status = string(hcloud.ActionStatusError)
		act.ErrorCode, act.ErrorText = "action_failed", err.Error()
		var known *Error
		if errors.As(err, &known) {
			act.ErrorCode, act.ErrorText = string(known.Code), known.Message
		}
		if w.failed != nil {
			w.failed(act)
		}
	}
	a.Log.Info("action finished", "action", act.ID, "command", act.Command, "target", act.Target, "status", act.Status,
		"error", act.ErrorText, "duration", now.Sub(act.Created))
	a.forgetActions()
}

func (a *API) forgetActions() {
	surplus := a.state.Actions.Len() - keepActions
	for _, act := range a.state.Actions.All() {
		if surplus <= 0 {
			return
		}
		if !act.running() {
			a.state.Actions.Remove(act.ID)
			surplus--
		}
	}
}

// progress sets how much of an action is done, in percent.
func (a *API) progress(id int64, percent int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if act, found := a.state.Actions.Get(id); found {
		act.Progress = percent
	}
}

// running returns the unfinished actions of a target in the order they run.
func (a *API) running(target resource) []*action {
	var acts []*action
	for _, id := range a.queues[target] {
		if act, found := a.state.Actions.Get(id); found && act.running() {
			acts = append(acts, act)
		}
	}
	return acts
}

// busy returns the action that locks the target, or nil.
func (a *API) busy(target resource) *action {
	for _, act := range a.running(target) {
		if !a.works[act.Command].shared {
			return act
		}
	}
	return nil
}

func (act *action) wire() schema.Action {
	w := schema.Action{
		ID: act.ID, Status: act.Status, Command: act.Command, Progress: act.Progress, Started: act.Created, Finished: act.Finished,
	}
	for _, r := range act.Resources {
		w.Resources = append(w.Resources, schema.ActionResourceReference{ID: r.ID, Type: r.Type})
	}
	if act.ErrorCode != "" {
		w.Error = &schema.ActionError{Code: act.ErrorCode, Message: act.ErrorText}
	}
	return w
}

func wireActions(acts []*action) []schema.Action {
	wires := make([]schema.Action, 0, len(acts))
	for _, act := range acts {
		wires = append(wires, act.wire())
	}
	return wires
}

func (a *API) actions() *collection[*action, schema.Action] {
	return &collection[*action, schema.Action]{
		singular: "action", plural: "actions", table: &a.state.Actions, wire: (*action).wire,
		filters: map[string]func(*action, string) bool{
			"id":     func(act *action, id string) bool { return strconv.FormatInt(act.ID, 10) == id },
			"status": func(act *action, status string) bool { return act.Status == status },
		},
		sorts: map[string]func(x, y *action) int{
			"command": func(x, y *action) int { return cmp.Compare(x.Command, y.Command) },
			"status":  func(x, y *action) int { return cmp.Compare(x.Status, y.Status) },
			"started": byCreated[*action],
			"finished": func(x, y *action) int {
				if x.Finished == nil || y.Finished == nil {
					return cmp.Compare(boolInt(x.Finished == nil), boolInt(y.Finished == nil))
				}
				return x.Finished.Compare(*y.Finished)
			},
		},
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

var actionParams = []string{"id", "status", "sort", "page", "per_page"}

func (a *API) actionRoutes() {
	all := a.actions()
	a.route("GET /actions", func(c *call) (reply, error) {
		if !c.query.Has("id") {
			return reply{}, gone("listing all actions was removed, name them with the parameter id",
				"https://docs.hetzner.cloud/changelog#2025-01-30-listing-arbitrary-actions-in-the-actions-list-endpoint-is-removed")
		}
		return all.list(c)
	}, actionParams...)
	a.route("GET /actions/{id}", func(c *call) (reply, error) {
		act, err := all.find(c)
		if err != nil {
			return reply{}, err
		}
		return ok(schema.ActionGetResponse{Action: act.wire()})
	})
	for kind, plural := range actionResources {
		a.resourceActionRoutes(kind, plural)
	}
}

var actionResources = map[string]string{
	"server": "servers", "network": "networks", "firewall": "firewalls", "primary_ip": "primary_ips", "image": "images",
}

// resourceActionRoutes serves the actions of one kind of resource: all of them under /servers/actions, and those of one
// resource under /servers/1/actions.
func (a *API) resourceActionRoutes(kind, plural string) {
	// listed serves the actions of the resource with this ID; 0 means any.
	listed := func(c *call, id int64) (reply, error) {
		of := a.actions()
		of.table = &store.Table[*action]{}
		for _, act := range a.state.Actions.All() {
			if act.concerns(kind, id) {
				of.table.Add(act)
			}
		}
		return of.list(c)
	}
	one := func(text string, id int64) (reply, error) {
		actID, err := strconv.ParseInt(text, 10, 64)
		act, found := a.state.Actions.Get(actID)
		if err != nil || !found || !act.concerns(kind, id) {
			return reply{}, errorf(hcloud.ErrorCodeNotFound, "action with ID '%s' not found", text)
		}
		return ok(schema.ActionGetResponse{Action: act.wire()})
	}
	a.route("GET /"+plural+"/actions", func(c *call) (reply, error) { return listed(c, 0) }, actionParams...)
	// /servers/actions/7 and /servers/7/actions would be ambiguous as two patterns.
	a.route("GET /"+plural+"/{id}/{rest}", func(c *call) (reply, error) {
		if c.PathValue("id") == "actions" {
			return one(c.PathValue("rest"), 0)
		}
		if c.PathValue("rest") != "actions" {
			return reply{}, errorf(hcloud.ErrorCodeNotFound, "the local cloud has no route %s %s", c.Method, c.URL.Path)
		}
		id, err := c.pathID("id", kind)
		if err != nil {
			return reply{}, err
		}
		return listed(c, id)
	}, actionParams...)
	a.route("GET /"+plural+"/{id}/actions/{action}", func(c *call) (reply, error) {
		id, err := c.pathID("id", kind)
		if err != nil {
			return reply{}, err
		}
		return one(c.PathValue("action"), id)
	})
}

func (act *action) concerns(kind string, id int64) bool {
	for _, r := range act.Resources {
		if r.Type == kind && (id == 0 || r.ID == id) {
			return true
		}
	}
	return false
}
