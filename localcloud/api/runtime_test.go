package api_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"hashistack/localcloud/machine"
)

// fakeRuntime keeps machines in memory and is as strict as a real runtime: what does not exist is ErrNotFound, and
// making something that exists is an error.
type fakeRuntime struct {
	mu       sync.Mutex
	networks map[int64]netip.Prefix
	machines map[int64]*fakeMachine
	// fails makes the method of this name return the error.
	fails map[string]error
	// calls lists the methods in the order they were called, with the machine or network.
	calls []string
}

type fakeMachine struct {
	machine.Spec
	state machine.State
}

var _ machine.Runtime = (*fakeRuntime)(nil)

func newFakeRuntime() *fakeRuntime {
	return &fakeRuntime{networks: map[int64]netip.Prefix{}, machines: map[int64]*fakeMachine{}, fails: map[string]error{}}
}

func (r *fakeRuntime) enter(method string, id int64) error {
	r.calls = append(r.calls, fmt.Sprintf("%s %d", method, id))
	return r.fails[method]
}

// on runs change on a machine that exists.
func (r *fakeRuntime) on(method string, id int64, change func(*fakeMachine) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.enter(method, id); err != nil {
		return err
	}
	m, found := r.machines[id]
	if !found {
		return fmt.Errorf("machine %d: %w", id, machine.ErrNotFound)
	}
	return change(m)
}

func (r *fakeRuntime) CreateNetwork(_ context.Context, id int64, ipRange netip.Prefix) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.enter("CreateNetwork", id); err != nil {
		return err
	}
	for other, p := range r.networks {
		if p.Overlaps(ipRange) {
			return fmt.Errorf("%s overlaps with network %d", ipRange, other)
		}
	}
	r.networks[id] = ipRange
	return nil
}

func (r *fakeRuntime) DeleteNetwork(_ context.Context, id int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.enter("DeleteNetwork", id); err != nil {
		return err
	}
	if _, found := r.networks[id]; !found {
		return fmt.Errorf("network %d: %w", id, machine.ErrNotFound)
	}
	for _, m := range r.machines {
		if slices.ContainsFunc(m.Private, func(p machine.Attachment) bool { return p.Network == id }) {
			return fmt.Errorf("network %d has active endpoints", id)
		}
	}
	delete(r.networks, id)
	return nil
}

func (r *fakeRuntime) Create(_ context.Context, spec machine.Spec) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.enter("Create", spec.ID); err != nil {
		return err
	}
	if r.machines[spec.ID] != nil {
		return fmt.Errorf("machine %d exists", spec.ID)
	}
	for _, p := range spec.Private {
		if _, found := r.networks[p.Network]; !found {
			return fmt.Errorf("network %d: %w", p.Network, machine.ErrNotFound)
		}
	}
	r.machines[spec.ID] = &fakeMachine{Spec: spec, state: machine.Off}
	return nil
}

func (r *fakeRuntime) Delete(_ context.Context, id int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.enter("Delete", id); err != nil {
		return err
	}
	delete(r.machines, id)
	return nil
}

func (r *fakeRuntime) set(method string, id int64, state machine.State) error {
	return r.on(method, id, func(m *fakeMachine) error {
		m.state = state
		return nil
	})
}

func (r *fakeRuntime) PowerOn(_ context.Context, id int64) error {
	return r.set("PowerOn", id, machine.Running)
}
func (r *fakeRuntime) PowerOff(_ context.Context, id int64) error {
	return r.set("PowerOff", id, machine.Off)
}
func (r *fakeRuntime) Shutdown(_ context.Context, id int64) error {
	return r.set("Shutdown", id, machine.Off)
}
func (r *fakeRuntime) Reboot(_ context.Context, id int64) error {
	return r.on("Reboot", id, func(*fakeMachine) error { return nil })
}
func (r *fakeRuntime) Reset(_ context.Context, id int64) error {
	return r.set("Reset", id, machine.Running)
}

func (r *fakeRuntime) Rebuild(_ context.Context, spec machine.Spec) error {
	return r.on("Rebuild", spec.ID, func(m *fakeMachine) error {
		m.Spec, m.state = spec, machine.Running
		return nil
	})
}

func (r *fakeRuntime) Resize(_ context.Context, spec machine.Spec) error {
	return r.on("Resize", spec.ID, func(m *fakeMachine) error {
		if m.state == machine.Running {
			return errors.New("machine runs")
		}
		m.Cores, m.MemoryMiB = spec.Cores, spec.MemoryMiB
		return nil
	})
}

func (r *fakeRuntime) Attach(_ context.Context, id int64, to machine.Attachment) error {
	return r.on("Attach", id, func(m *fakeMachine) error {
		if _, found := r.networks[to.Network]; !found {
			return fmt.Errorf("network %d: %w", to.Network, machine.ErrNotFound)
		}
		if slices.ContainsFunc(m.Private, func(p machine.Attachment) bool { return p.Network == to.Network }) {
			return errors.New("already attached")
		}
		m.Private = append(m.Private, to)
		return nil
	})
}

func (r *fakeRuntime) Detach(_ context.Context, id, network int64) error {
	return r.on("Detach", id, func(m *fakeMachine) error {
		before := len(m.Private)
		m.Private = slices.DeleteFunc(m.Private, func(p machine.Attachment) bool { return p.Network == network })
		if len(m.Private) == before {
			return errors.New("not attached")
		}
		return nil
	})
}

func (r *fakeRuntime) SetFirewall(_ context.Context, id int64, firewalled bool, rules []machine.Rule) error {
	return r.on("SetFirewall", id, func(m *fakeMachine) error {
		m.Firewalled, m.Rules = firewalled, rules
		return nil
	})
}

func (r *fakeRuntime) SetPublic(_ context.Context, id int64, addr netip.Addr) error {
	return r.on("SetPublic", id, func(m *fakeMachine) error {
		if m.state == machine.Running {
			return errors.New("machine runs")
		}
		if addr != m.Public {
			m.Public, m.Firewalled, m.Rules = addr, true, nil // nothing gets in until the firewall is set
		}
		return nil
	})
}

func (r *fakeRuntime) State(_ context.Context, id int64) (machine.State, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, found := r.machines[id]
	if !found {
		return "", fmt.Errorf("machine %d: %w", id, machine.ErrNotFound)
	}
	return m.state, r.fails["State"]
}

// machine returns a copy of a machine.
func (r *fakeRuntime) machine(id int64) (fakeMachine, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m, found := r.machines[id]; found {
		return *m, true
	}
	return fakeMachine{}, false
}

func (r *fakeRuntime) fail(method string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fails[method] = err
}

func (r *fakeRuntime) ids() []int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.machines))
}
