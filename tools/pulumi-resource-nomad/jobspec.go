package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/hashicorp/nomad/api"
	"github.com/hashicorp/nomad/jobspec2"
	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"hashistack/tools/native"
)

// jobType is the type token of the resource that has a jobspec.
const jobType = "nomad:index/job:Job"

// parse reads the jobspec. The namespace is the default one if it names none.
func (a JobArgs) parse() (*api.Job, error) {
	var job *api.Job
	var err error
	if native.Value(a.JSON) {
		job, err = parseJSON(a.Jobspec)
	} else {
		job, err = jobspec2.ParseWithConfig(&jobspec2.ParseConfig{
			Body: []byte(a.Jobspec), ArgVars: a.Hcl2.variables(), AllowFS: native.Value(native.Value(a.Hcl2).AllowFs),
			Strict: true,
		})
	}
	if err != nil {
		return nil, fmt.Errorf("parse the jobspec: %w", err)
	}
	if job.ID == nil || *job.ID == "" {
		return nil, fmt.Errorf("parse the jobspec: the job has no id: name it, as in `job \"web\" { … }`")
	}
	job.Canonicalize()
	return job, nil
}

// parseJSON reads a job as the API has it, with or without the root that `nomad job run -output` writes.
func parseJSON(text string) (*api.Job, error) {
	var root struct{ Job *api.Job }
	if err := json.Unmarshal([]byte(text), &root); err != nil {
		return nil, err
	}
	if root.Job != nil {
		return root.Job, nil
	}
	job := &api.Job{}
	return job, json.Unmarshal([]byte(text), job)
}

// variables returns the variables as the command line has them, in a steady order.
func (h *JobHcl2) variables() []string {
	var out []string
	if h != nil {
		for _, name := range slices.Sorted(maps.Keys(h.Vars)) {
			out = append(out, name+"="+h.Vars[name])
		}
	}
	return out
}

// submission is the source that Nomad keeps beside the job.
func (a JobArgs) submission() *api.JobSubmission {
	format := "hcl2"
	if native.Value(a.JSON) {
		format = "json"
	}
	return &api.JobSubmission{Source: a.Jobspec, Format: format, VariableFlags: native.Value(a.Hcl2).Vars}
}

// withJobspecs lets a provider look into jobspecs: a bad one fails the check, one that means the same is no change,
// and one for another job replaces.
func withJobspecs(inner p.Provider) p.Provider {
	outer := inner
	outer.Check = func(ctx context.Context, r p.CheckRequest) (p.CheckResponse, error) {
		response, err := inner.Check(ctx, r)
		if err != nil || len(response.Failures) > 0 || r.Urn.Type() != jobType {
			return response, err
		}
		if args, known := jobArgs(response.Inputs); known {
			if _, err := args.parse(); err != nil {
				response.Failures = append(response.Failures, p.CheckFailure{Property: "jobspec", Reason: err.Error()})
			}
		}
		return response, nil
	}
	outer.Diff = func(ctx context.Context, r p.DiffRequest) (p.DiffResponse, error) {
		response, err := inner.Diff(ctx, r)
		if err != nil || r.Urn.Type() != jobType {
			return response, err
		}
		return diffJob(r, response), nil
	}
	return outer
}

// diffJob refines the difference of two jobs' inputs.
func diffJob(r p.DiffRequest, response p.DiffResponse) p.DiffResponse {
	before, known := jobArgs(r.OldInputs)
	after, alsoKnown := jobArgs(r.Inputs)
	if !known || !alsoKnown {
		return response
	}
	was, err := before.parse()
	if err != nil {
		return response // an old jobspec that cannot be parsed can still be replaced
	}
	is, err := after.parse()
	if err != nil {
		return response // the check has reported it
	}
	if *was.ID != *is.ID || *was.Namespace != *is.Namespace || *was.Region != *is.Region {
		response.HasChanges = true
		if response.DetailedDiff == nil {
			response.DetailedDiff = map[string]p.PropertyDiff{}
		}
		response.DetailedDiff["jobspec"] = p.PropertyDiff{Kind: p.UpdateReplace, InputDiff: true}
		return response
	}
	if reflect.DeepEqual(was, is) {
		maps.DeleteFunc(response.DetailedDiff, func(property string, _ p.PropertyDiff) bool {
			return slices.Contains([]string{"jobspec", "json"}, property) || strings.HasPrefix(property, "hcl2")
		})
		response.HasChanges = len(response.DetailedDiff) > 0
	}
	return response
}

// jobArgs reads what parsing needs from a resource's inputs, if it is known already.
func jobArgs(inputs property.Map) (JobArgs, bool) {
	spec, ok := inputs.GetOk("jobspec")
	if !ok || inputs.Get("hcl2").HasComputed() || inputs.Get("json").HasComputed() || !spec.IsString() {
		return JobArgs{}, false
	}
	args := JobArgs{Jobspec: spec.AsString()}
	if v := inputs.Get("json"); v.IsBool() {
		enabled := v.AsBool()
		args.JSON = &enabled
	}
	if v := inputs.Get("hcl2"); v.IsMap() {
		args.Hcl2 = &JobHcl2{Vars: map[string]string{}}
		if fs := v.AsMap().Get("allowFs"); fs.IsBool() {
			allowed := fs.AsBool()
			args.Hcl2.AllowFs = &allowed
		}
		if vars := v.AsMap().Get("vars"); vars.IsMap() {
			for name, value := range vars.AsMap().All {
				if value.IsString() {
					args.Hcl2.Vars[name] = value.AsString()
				}
			}
		}
	}
	return args, true
}
