package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/nomad/api"
	p "github.com/pulumi/pulumi-go-provider"
)

// pollInterval is how often a running evaluation or deployment is looked at.
const pollInterval = time.Second

// monitor waits until an evaluation, those that follow it and the deployment that they start have ended well. It
// returns the deployment, nil for a job that has none (batch, system).
func monitor(ctx context.Context, client *api.Client, namespace, evaluation string) (*api.Deployment, error) {
	options := query(ctx)
	options.Namespace = namespace
	var unplaced map[string]*api.AllocationMetric
	deployment := ""
	for evaluation != "" {
		eval, _, err := client.Evaluations().Info(evaluation, options)
		if err != nil {
			return nil, fmt.Errorf("read evaluation %s: %w", evaluation, err)
		}
		switch eval.Status {
		case api.EvalStatusComplete:
			unplaced, deployment, evaluation = eval.FailedTGAllocs, eval.DeploymentID, eval.NextEval
			continue
		case api.EvalStatusFailed, api.EvalStatusCancelled:
			return nil, fmt.Errorf("evaluation %s %s: %s", eval.ID, eval.Status, eval.StatusDescription)
		}
		p.GetLogger(ctx).InfoStatusf("scheduling: evaluation is %s", eval.Status)
		if err := pause(ctx, fmt.Sprintf("evaluation %s to be complete, it is %s", eval.ID, eval.Status)); err != nil {
			return nil, err
		}
	}
	if deployment == "" {
		if len(unplaced) > 0 {
			return nil, fmt.Errorf("no place for %s", describe(unplaced))
		}
		return nil, nil
	}
	return monitorDeployment(ctx, client, options, deployment, unplaced)
}

func monitorDeployment(
	ctx context.Context, client *api.Client, options *api.QueryOptions, id string,
	unplaced map[string]*api.AllocationMetric,
) (*api.Deployment, error) {
	for {
		d, _, err := client.Deployments().Info(id, options)
		if err != nil {
			return nil, fmt.Errorf("read deployment %s: %w", id, err)
		}
		progress := progress(d)
		if len(unplaced) > 0 {
			progress += "; no place for " + describe(unplaced)
		}
		switch d.Status {
		case api.DeploymentStatusSuccessful:
			return d, nil
		case api.DeploymentStatusFailed, api.DeploymentStatusCancelled:
			return d, fmt.Errorf("deployment %s %s: %s (%s): see `nomad job status %s` and its allocations' logs",
				d.ID, d.Status, d.StatusDescription, progress, d.JobID)
		}
		p.GetLogger(ctx).InfoStatusf("deploying: %s", progress)
		if err := pause(ctx, "deployment "+d.ID+" to be successful, it is "+d.Status+": "+progress); err != nil {
			return d, err
		}
	}
}

// pause waits for the next look, or tells what was waited for when the time is over.
func pause(ctx context.Context, waiting string) error {
	select {
	case <-ctx.Done():
		return fmt.Errorf("waited for %s: %w", waiting, ctx.Err())
	case <-time.After(pollInterval):
		return nil
	}
}

// progress tells how far the groups of a deployment are.
func progress(d *api.Deployment) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(d.TaskGroups)) {
		g := d.TaskGroups[name]
		parts = append(parts, fmt.Sprintf("%s: want %d healthy, got %d, %d unhealthy",
			name, g.DesiredTotal, g.HealthyAllocs, g.UnhealthyAllocs))
	}
	return strings.Join(parts, "; ")
}

// describe tells why groups could not be placed.
func describe(unplaced map[string]*api.AllocationMetric) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(unplaced)) {
		m := unplaced[name]
		reasons := []string{fmt.Sprintf("%d nodes in pool %s", m.NodesInPool, m.NodePool)}
		for _, why := range []map[string]int{m.ConstraintFiltered, m.ClassFiltered, m.DimensionExhausted} {
			for _, reason := range slices.Sorted(maps.Keys(why)) {
				reasons = append(reasons, fmt.Sprintf("%q rules out %d", reason, why[reason]))
			}
		}
		parts = append(parts, fmt.Sprintf("group %s (%s)", name, strings.Join(reasons, ", ")))
	}
	return strings.Join(parts, "; ")
}
