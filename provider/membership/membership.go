// Package membership has machines join their clusters and leave them, as long as a platform lives. A machine that is
// replaced or removed leaves first: when it is its turn, and when the others can do without it.
//
// The package knows clusters, servers and Nomad clients, but no roles: which machine is a member of what is said by the
// inputs of its Membership.
package membership

import (
	"context"
	"fmt"
	"strings"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"

	"hashistack/provider/internal/compare"
	"hashistack/provider/internal/explain"
	"hashistack/provider/internal/migrate"
	"hashistack/provider/internal/wait"
)

// Membership is a machine's place in the clusters. Creating it waits until the machine is a healthy member. Deleting it,
// which Pulumi does before it deletes or replaces the machine, makes the machine leave.
type Membership struct{ fleet *fleet }

var (
	_ infer.CustomCheck[Args]                 = Membership{}
	_ infer.CustomDiff[Args, State]           = Membership{}
	_ infer.CustomUpdate[Args, State]         = Membership{}
	_ infer.CustomRead[Args, State]           = Membership{}
	_ infer.CustomDelete[State]               = Membership{}
	_ infer.ExplicitDependencies[Args, State] = Membership{}
)

// Resource is the resource Membership. All machines take turns that are deleted by the same one.
func Resource() infer.InferredResource {
	return migrate.Resource(infer.Resource(Membership{newFleet()}), reshape)
}

// Annotate describes the resource in the schema.
func (r *Membership) Annotate(a infer.Annotator) {
	a.Describe(&r, "A machine's place in the clusters of Vault, Consul and Nomad. Creating the resource waits until the machine is a "+
		"healthy member of all that are given. Deleting it, which must come before the machine's own deletion, waits for the "+
		"machine's turn and until the others can do without it, drains it of allocations, and takes its votes away. Give it the "+
		"machine's identity as `machineId`: then a machine that is deleted before it is replaced leaves first, and one machine is "+
		"replaced after the other.")
}

// Diff is a replacement for another machine, and an update for every other change.
//
// Before Pulumi deletes the membership of a machine that will be replaced, it asks for this difference with a machineId
// that is still unknown. For a machine that is removed for good it does not ask. So this tells which machines come back.
//
// The preview asks as well, and so refuses what would replace the only server of a cluster, before anything is changed.
func (r Membership) Diff(_ context.Context, req infer.DiffRequest[Args, State]) (infer.DiffResponse, error) {
	was, is := req.State.Args, req.Inputs
	if was.MachineID != is.MachineID {
		if err := was.alone(); err != nil && is.MachineID == "" {
			return infer.DiffResponse{}, err
		}
		r.fleet.expect(was.Machine, is.MachineID != "")
	}
	diff := compare.Inputs(was, is)
	diff.DeleteBeforeReplace = compare.Replaces(diff)
	return diff, nil
}

// Create waits until the machine is a healthy member.
func (Membership) Create(ctx context.Context, req infer.CreateRequest[Args]) (infer.CreateResponse[State], error) {
	args := req.Inputs
	resp := infer.CreateResponse[State]{ID: args.Machine, Output: State{Args: args}}
	if req.DryRun {
		return resp, nil
	}
	ctx, cancel, err := wait.Within(ctx, args.Timeout)
	if err != nil {
		return resp, err
	}
	defer cancel()
	m, err := newMember(resp.Output)
	if err != nil {
		return resp, err
	}
	want := fmt.Sprintf("%s to be a healthy member of %s", args.Machine, strings.Join(args.clusters(), ", "))
	return resp, wait.Until(ctx, want, func(ctx context.Context) (err error) {
		resp.Output.NodeID, err = m.present(ctx)
		return err
	})
}

// Update records how the clusters are reached now, and what the machine's lane is. The deletion goes by that.
func (Membership) Update(_ context.Context, req infer.UpdateRequest[Args, State]) (infer.UpdateResponse[State], error) {
	return infer.UpdateResponse[State]{Output: State{req.Inputs, req.State.NodeID}}, nil
}

// Read warns of a machine that is not a healthy member. The state stays as it is.
func (Membership) Read(ctx context.Context, req infer.ReadRequest[Args, State]) (infer.ReadResponse[Args, State], error) {
	resp := infer.ReadResponse[Args, State](req)
	m, err := newMember(req.State)
	if err != nil {
		return resp, err
	}
	if _, err := m.present(ctx); err != nil {
		p.GetLogger(ctx).Warningf("%s is not as it should be: %s", m.Machine, explain.Error(err))
	}
	return resp, nil
}

// Delete makes the machine leave when it is its turn and the others can do without it.
func (r Membership) Delete(ctx context.Context, req infer.DeleteRequest[State]) (infer.DeleteResponse, error) {
	m, err := newMember(req.State)
	if err != nil {
		return infer.DeleteResponse{}, err
	}
	return infer.DeleteResponse{}, r.fleet.leave(ctx, m, m.Args)
}
