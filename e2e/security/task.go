package security

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	nomad "github.com/hashicorp/nomad/api"

	"hashistack/internal/poll"
)

// taskTimeout covers the placement of a task and its end.
const taskTimeout = time.Minute

// task is a batch job of one task that runs a script in busybox's shell.
type task struct {
	id, namespace, script string
	user                  string
	host                  bool // shares the machine's network and address, and has none of its own
	artifact              string
	service               string
	vault, consul         bool // has a token
}

func (t task) job(node string) *nomad.Job {
	job := nomad.NewBatchJob(t.id, t.id, "global", 50)
	if t.namespace != "" {
		job.Namespace = &t.namespace
	}
	job.Constrain(nomad.NewConstraint("${node.unique.name}", "=", node))
	none, never, fail := 0, false, "fail"
	memory, cpu := 48, 50
	work := nomad.NewTask("probe", "exec").
		SetConfig("command", "/bin/sh").SetConfig("args", []string{"-c", t.script}).
		Require(&nomad.Resources{MemoryMB: &memory, CPU: &cpu})
	work.User = t.user
	if t.artifact != "" {
		work.Artifacts = []*nomad.TaskArtifact{{GetterSource: &t.artifact}}
	}
	if t.vault {
		work.Vault = &nomad.Vault{}
	}
	if t.consul {
		work.Consul = &nomad.Consul{}
	}
	group := nomad.NewTaskGroup("probe", 1).AddTask(work)
	group.RestartPolicy = &nomad.RestartPolicy{Attempts: &none, Mode: &fail}
	group.ReschedulePolicy = &nomad.ReschedulePolicy{Attempts: &none, Unlimited: &never}
	mode := "bridge"
	if t.host {
		mode = "host"
	}
	group.Networks = []*nomad.NetworkResource{{Mode: mode}}
	if t.service != "" {
		group.Services = []*nomad.Service{{Name: t.service, Provider: "consul", PortLabel: "9"}}
	}
	return job.AddTaskGroup(group)
}

func (t task) options() *nomad.QueryOptions { return &nomad.QueryOptions{Namespace: t.namespace} }

// start runs the task, without waiting for it.
func (w *world) start(ctx context.Context, t task) error {
	job := t.job(w.client)
	options := &nomad.WriteOptions{Namespace: t.namespace}
	if _, _, err := w.nomad.Jobs().Deregister(*job.ID, true, options.WithContext(ctx)); err != nil && !strings.Contains(err.Error(), "404") {
		return fmt.Errorf("remove job %s: %w", t.id, err)
	}
	if _, _, err := w.nomad.Jobs().Register(job, options.WithContext(ctx)); err != nil {
		return fmt.Errorf("register job %s: %w", t.id, err)
	}
	return nil
}

// allocation is the task's newest allocation once it is in one of the states.
func (w *world) allocation(ctx context.Context, t task, states ...string) (found *nomad.AllocationListStub, err error) {
	return found, poll.Until(ctx, taskTimeout, "job "+t.id+" to be "+strings.Join(states, " or "), func(ctx context.Context) error {
		allocations, _, err := w.nomad.Jobs().Allocations(t.id, false, t.options().WithContext(ctx))
		if err != nil {
			return err
		}
		if len(allocations) == 0 {
			return errors.New("it has no allocation yet")
		}
		found = allocations[0]
		for _, allocation := range allocations {
			if allocation.CreateIndex > found.CreateIndex {
				found = allocation
			}
		}
		for _, state := range states {
			if found.ClientStatus == state {
				return nil
			}
		}
		return fmt.Errorf("it is %s: %s", found.ClientStatus, events(found))
	})
}

// run runs the task to its end. It returns an error if the task failed, with its events and what it wrote.
func (w *world) run(ctx context.Context, t task) error {
	if err := w.start(ctx, t); err != nil {
		return err
	}
	allocation, err := w.allocation(ctx, t, nomad.AllocClientStatusComplete, nomad.AllocClientStatusFailed)
	if err != nil {
		return err
	}
	if allocation.ClientStatus == nomad.AllocClientStatusComplete {
		return nil
	}
	said, err := w.stack.OnMachine(ctx, w.client, "sh", "-c", "cat /opt/nomad/data/alloc/"+allocation.ID+"/alloc/logs/probe.std* 2>/dev/null || true")
	return errors.Join(fmt.Errorf("the task failed: %s; it said: %s", events(allocation), said), err)
}

// events are what an allocation reports.
func events(allocation *nomad.AllocationListStub) string {
	all := []string{allocation.ClientDescription}
	for _, state := range allocation.TaskStates {
		for _, event := range state.Events {
			all = append(all, event.DisplayMessage)
		}
	}
	return strings.Join(all, "; ")
}
