package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/pulumi/pulumi-go-provider/infer"

	"hashistack/tools/native"
)

// JobArgs are the inputs of a job; its id is the job's. Registration takes over a job of that id.
type JobArgs struct {
	Jobspec string   `pulumi:"jobspec"`
	Hcl2    *JobHcl2 `pulumi:"hcl2,optional"`
	JSON    *bool    `pulumi:"json,optional"`
	// Detach, true if left out, does not wait for the job to be deployed.
	Detach              *bool `pulumi:"detach,optional"`
	DeregisterOnDestroy *bool `pulumi:"deregisterOnDestroy,optional"` // true if left out
	PurgeOnDestroy      *bool `pulumi:"purgeOnDestroy,optional"`
	PolicyOverride      *bool `pulumi:"policyOverride,optional"`
	PreserveCounts      *bool `pulumi:"preserveCounts,optional"`
	ReadAllocationIds   *bool `pulumi:"readAllocationIds,optional"`
}

// JobHcl2 says how the jobspec is parsed.
type JobHcl2 struct {
	AllowFs *bool             `pulumi:"allowFs,optional"`
	Vars    map[string]string `pulumi:"vars,optional"`
}

// JobState is what Nomad has. What changes without the job being changed (status, stable, the allocations) is as of
// the last read.
type JobState struct {
	JobArgs
	Name              string         `pulumi:"name"`
	Namespace         string         `pulumi:"namespace"`
	Region            string         `pulumi:"region"`
	Type              string         `pulumi:"type"`
	Datacenters       []string       `pulumi:"datacenters"`
	Priority          int            `pulumi:"priority"`
	AllAtOnce         bool           `pulumi:"allAtOnce"`
	ParentID          string         `pulumi:"parentId"`
	Status            string         `pulumi:"status"`
	StatusDescription string         `pulumi:"statusDescription"`
	Stable            bool           `pulumi:"stable"`
	Stop              bool           `pulumi:"stop"`
	Version           int            `pulumi:"version"`
	CreateIndex       int            `pulumi:"createIndex"`
	ModifyIndex       string         `pulumi:"modifyIndex"`
	SubmitTime        string         `pulumi:"submitTime"`
	TaskGroups        []JobTaskGroup `pulumi:"taskGroups"`
	AllocationIds     []string       `pulumi:"allocationIds"`
	DeploymentID      string         `pulumi:"deploymentId"`
	DeploymentStatus  string         `pulumi:"deploymentStatus"`
}

// JobTaskGroup is a group of the job.
type JobTaskGroup struct {
	Name    string               `pulumi:"name"`
	Count   int                  `pulumi:"count"`
	Meta    map[string]string    `pulumi:"meta"`
	Tasks   []JobTask            `pulumi:"tasks"`
	Volumes []JobTaskGroupVolume `pulumi:"volumes"`
}

// JobTask is a task of a group.
type JobTask struct {
	Name   string            `pulumi:"name"`
	Driver string            `pulumi:"driver"`
	Meta   map[string]string `pulumi:"meta"`
}

// JobTaskGroupVolume is a volume that a group asks for.
type JobTaskGroupVolume struct {
	Name     string `pulumi:"name"`
	Type     string `pulumi:"type"`
	Source   string `pulumi:"source"`
	ReadOnly bool   `pulumi:"readOnly"`
}

// jobState returns the state of a live job. What Nomad does not tell is taken from the old state.
func jobState(a JobArgs, live *api.Job, old JobState) JobState {
	return JobState{
		JobArgs: a,
		Name:    *live.ID, Namespace: native.Value(live.Namespace), Region: native.Value(live.Region),
		Type: native.Value(live.Type), Datacenters: append([]string{}, live.Datacenters...),
		Priority: native.Value(live.Priority), AllAtOnce: native.Value(live.AllAtOnce),
		ParentID: native.Value(live.ParentID), Status: native.Value(live.Status),
		StatusDescription: native.Value(live.StatusDescription),
		Stable:            native.Value(live.Stable), Stop: native.Value(live.Stop),
		Version:       int(native.Value(live.Version)),     //nolint:gosec // a count of registrations
		CreateIndex:   int(native.Value(live.CreateIndex)), //nolint:gosec // a raft index, far below 2^63
		ModifyIndex:   strconv.FormatUint(native.Value(live.JobModifyIndex), 10),
		SubmitTime:    strconv.FormatInt(native.Value(live.SubmitTime), 10),
		TaskGroups:    taskGroups(live.TaskGroups),
		AllocationIds: []string{},
		DeploymentID:  old.DeploymentID, DeploymentStatus: old.DeploymentStatus,
	}
}

func taskGroups(groups []*api.TaskGroup) []JobTaskGroup {
	out := []JobTaskGroup{}
	for _, group := range groups {
		g := JobTaskGroup{
			Name: native.Value(group.Name), Count: native.OrElse(group.Count, 1), Meta: orEmpty(group.Meta),
			Tasks: []JobTask{}, Volumes: []JobTaskGroupVolume{},
		}
		for _, task := range group.Tasks {
			g.Tasks = append(g.Tasks, JobTask{Name: task.Name, Driver: task.Driver, Meta: orEmpty(task.Meta)})
		}
		for _, v := range group.Volumes {
			g.Volumes = append(g.Volumes,
				JobTaskGroupVolume{Name: v.Name, Type: v.Type, Source: v.Source, ReadOnly: v.ReadOnly})
		}
		sort.Slice(g.Volumes, func(i, j int) bool { return g.Volumes[i].Name < g.Volumes[j].Name })
		out = append(out, g)
	}
	return out
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// registerTimeout is how long registration waits for a deployment unless the resource's custom timeouts say otherwise.
const registerTimeout = 5 * time.Minute

// register registers the job and, unless detached, waits until it is deployed. An error beside a state says that the
// job is registered but not deployed.
func (c *connection) register(ctx context.Context, a JobArgs) (*JobState, error) {
	client, err := c.nomad(ctx)
	if err != nil {
		return nil, err
	}
	job, err := a.parse()
	if err != nil {
		return nil, err
	}
	response, _, err := client.Jobs().RegisterOpts(job, &api.RegisterOptions{
		PolicyOverride: native.Value(a.PolicyOverride), PreserveCounts: native.Value(a.PreserveCounts),
		Submission: a.submission(),
	}, write(ctx))
	if err != nil {
		return nil, fmt.Errorf("register it: %w", err)
	}
	var deployment *api.Deployment
	var deployErr error
	if !native.OrElse(a.Detach, true) && response.EvalID != "" {
		if _, ok := ctx.Deadline(); !ok {
			bounded, cancel := context.WithTimeout(ctx, registerTimeout)
			defer cancel()
			ctx = bounded
		}
		deployment, deployErr = monitor(ctx, client, *job.Namespace, response.EvalID)
	}
	// What is registered must be in the state, however the wait ended.
	state, err := c.readJob(context.WithoutCancel(ctx), *job.ID, *job.Namespace, a, JobState{})
	if err != nil || state == nil {
		return nil, fmt.Errorf("read back the registered job: %w", err)
	}
	if deployment != nil {
		state.DeploymentID, state.DeploymentStatus = deployment.ID, deployment.Status
	}
	return state, deployErr
}

// readJob returns the state of a job, nil when there is none or it is stopped.
func (c *connection) readJob(ctx context.Context, id, namespace string, a JobArgs, old JobState) (*JobState, error) {
	client, err := c.nomad(ctx)
	if err != nil {
		return nil, err
	}
	options := query(ctx)
	options.Namespace = namespace
	live, _, err := client.Jobs().Info(id, options)
	if err != nil {
		return nil, unlessGone(err)
	}
	if native.Value(live.Stop) {
		return nil, nil
	}
	state := jobState(a, live, old)
	if native.Value(a.ReadAllocationIds) {
		allocations, _, err := client.Jobs().Allocations(id, false, options)
		if err != nil {
			return nil, fmt.Errorf("list the allocations: %w", err)
		}
		for _, allocation := range allocations {
			state.AllocationIds = append(state.AllocationIds, allocation.ID)
		}
	}
	return &state, nil
}

// importedArgs returns the jobspec of a job that is taken over: its source if Nomad has it, else the job as JSON.
func (c *connection) importedArgs(ctx context.Context, id, namespace string) (JobArgs, error) {
	client, err := c.nomad(ctx)
	if err != nil {
		return JobArgs{}, err
	}
	options := query(ctx)
	options.Namespace = namespace
	live, _, err := client.Jobs().Info(id, options)
	if err != nil {
		return JobArgs{}, unlessGone(err)
	}
	version := int(native.Value(live.Version)) //nolint:gosec // a count of registrations
	source, _, err := client.Jobs().Submission(id, version, options)
	if err == nil && source != nil && source.Format == "hcl2" && source.Variables == "" {
		args := JobArgs{Jobspec: source.Source}
		if len(source.VariableFlags) > 0 {
			args.Hcl2 = &JobHcl2{Vars: source.VariableFlags}
		}
		return args, nil
	}
	text, err := json.Marshal(live)
	if err != nil {
		return JobArgs{}, fmt.Errorf("encode the live job: %w", err)
	}
	yes := true
	return JobArgs{Jobspec: string(text), JSON: &yes}, nil
}

func job(c *connection) native.Kind[JobArgs, JobState] {
	return native.Kind[JobArgs, JobState]{
		Module: "index/job",
		Type:   "Job",
		Label: func(a JobArgs) string {
			if job, err := a.parse(); err == nil {
				return "job " + *job.ID
			}
			return "job"
		},
		State: func(a JobArgs, old JobState) JobState {
			old.JobArgs = a
			// An output that a preview leaves out counts as empty, not as unknown, so the lists must be there.
			if old.Name == "" {
				old.Datacenters, old.TaskGroups, old.AllocationIds = []string{}, []JobTaskGroup{}, []string{}
			}
			return old
		},
		Create: func(ctx context.Context, a JobArgs) (string, JobState, error) {
			state, err := c.register(ctx, a)
			if state == nil {
				return "", JobState{}, err
			}
			return state.Name, *state, err
		},
		Read: func(ctx context.Context, id string, inputs JobArgs, old JobState) (JobArgs, JobState, bool, error) {
			name, namespace := id, old.Namespace
			if inputs.Jobspec == "" { // an import, by ID or ID@NAMESPACE
				name, namespace, _ = strings.Cut(id, "@")
				imported, err := c.importedArgs(ctx, name, orDefault(namespace))
				if err != nil {
					return inputs, old, false, err
				}
				inputs = imported
			}
			state, err := c.readJob(ctx, name, orDefault(namespace), inputs, old)
			if err != nil || state == nil {
				return inputs, old, false, err
			}
			return inputs, *state, true, nil
		},
		Update: func(ctx context.Context, _ string, a JobArgs, old JobState) (JobState, error) {
			state, err := c.register(ctx, a)
			if state == nil {
				return old, err
			}
			return *state, err
		},
		Delete: func(ctx context.Context, _ string, s JobState) error {
			if !native.OrElse(s.DeregisterOnDestroy, true) {
				return nil
			}
			client, err := c.nomad(ctx)
			if err != nil {
				return err
			}
			options := write(ctx)
			options.Namespace = orDefault(s.Namespace)
			_, _, err = client.Jobs().Deregister(s.Name, native.Value(s.PurgeOnDestroy), options)
			return err
		},
		// Whatever changes, the registration and what follows from it are new.
		Wire: func(f infer.FieldSelector, a *JobArgs, s *JobState) {
			for _, output := range []any{
				&s.Type, &s.Datacenters, &s.Priority, &s.AllAtOnce, &s.Status, &s.StatusDescription, &s.Stable, &s.Version,
				&s.ModifyIndex, &s.SubmitTime, &s.TaskGroups, &s.AllocationIds, &s.DeploymentID, &s.DeploymentStatus,
			} {
				f.OutputField(output).DependsOn(f.InputField(a).Computed())
			}
		},
	}
}

func orDefault(namespace string) string {
	if namespace == "" {
		return api.DefaultNamespace
	}
	return namespace
}
