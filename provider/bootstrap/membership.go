package bootstrap

import (
	"context"
	"fmt"
	"slices"
	"strings"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
)

// Membership is a machine's place in the clusters. Creating it waits for the machine to be a healthy member; deleting it, which
// Pulumi does before it deletes or replaces the machine, makes the machine leave in a way that its clusters survive.
type Membership struct{ fleet *fleet }

var (
	_ infer.CustomCheck[MembershipArgs]                           = Membership{}
	_ infer.CustomDiff[MembershipArgs, MembershipState]           = Membership{}
	_ infer.CustomUpdate[MembershipArgs, MembershipState]         = Membership{}
	_ infer.CustomRead[MembershipArgs, MembershipState]           = Membership{}
	_ infer.CustomDelete[MembershipState]                         = Membership{}
	_ infer.ExplicitDependencies[MembershipArgs, MembershipState] = Membership{}
)

// The roles of a machine. Every machine is a member of Consul besides.
const (
	roleVault        = "vault"
	roleConsulServer = "consul-server"
	roleNomadServer  = "nomad-server"
	roleNomadClient  = "nomad-client"
)

var roles = []string{roleVault, roleConsulServer, roleNomadServer, roleNomadClient}

// MembershipArgs are the inputs of Membership.
type MembershipArgs struct {
	Machine     string   `pulumi:"machine"`
	MachineID   string   `pulumi:"machineId"`
	Roles       []string `pulumi:"roles"`
	Lane        string   `pulumi:"lane"`
	AtOnce      int      `pulumi:"atOnce,optional"`
	Region      string   `pulumi:"region"`
	VaultNodes  []Node   `pulumi:"vaultNodes"`
	VaultToken  string   `pulumi:"vaultToken" provider:"secret"`
	UnsealKeys  []string `pulumi:"unsealKeys,optional" provider:"secret"`
	ConsulNodes []Node   `pulumi:"consulNodes"`
	ConsulToken string   `pulumi:"consulToken" provider:"secret"`
	NomadNodes  []Node   `pulumi:"nomadNodes"`
	NomadToken  string   `pulumi:"nomadToken" provider:"secret"`
	CaPem       string   `pulumi:"caPem"`
	Timeout     string   `pulumi:"timeout,optional"`
}

// MembershipState is what stays in the stack's state.
type MembershipState struct {
	MembershipArgs
	// NodeID is what Consul knows the machine by: a new machine of the same name has another.
	NodeID string `pulumi:"nodeId"`
}

// Annotate describes the resource in the schema.
func (r *Membership) Annotate(a infer.Annotator) {
	a.Describe(&r, "A machine's place in the clusters of Vault, Consul and Nomad. Creating the resource waits until the machine is a "+
		"healthy member of all that its roles name. Deleting it, which must come before the machine's own deletion, waits for the "+
		"machine's turn and until the others can do without it, drains it of allocations, and takes its votes away. Give it the "+
		"machine's identity as `machineId`: then a machine that is deleted before it is replaced is left in peace first, and one "+
		"machine is replaced after the other.")
}

// Annotate describes the inputs in the schema.
func (args *MembershipArgs) Annotate(a infer.Annotator) {
	a.Describe(&args.Machine, "Name of the machine: of its agents in Consul and Nomad, and of its Vault server.")
	a.Describe(&args.MachineID, "Identity of the machine, for example the ID of its server. Another one is another membership.")
	a.Describe(&args.Roles, "What the machine is besides a member of Consul: `vault`, `consul-server`, `nomad-server`, `nomad-client`.")
	a.Describe(&args.Lane, "Machines with the same lane go one after the other.")
	a.Describe(&args.AtOnce, "How many machines of the lane may be away at once. Default 1.")
	a.SetDefault(&args.AtOnce, 1)
	a.Describe(&args.Region, "Nomad's region, which its servers carry in their names.")
	a.Describe(&args.VaultNodes, "All Vault servers.")
	a.Describe(&args.VaultToken, "A token that may read the autopilot's state, remove peers, and make the active node step down.")
	a.Describe(&args.UnsealKeys, "Keys for a machine that came back with a sealed Vault. Without any, Vault is expected to unseal itself.")
	a.Describe(&args.ConsulNodes, "All Consul servers.")
	a.Describe(&args.ConsulToken, "A management token of Consul.")
	a.Describe(&args.NomadNodes, "All Nomad servers.")
	a.Describe(&args.NomadToken, "A management token of Nomad.")
	a.Describe(&args.CaPem, "PEM certificates of the authorities that sign the servers' certificates. No others are trusted.")
	describeTimeout(a, &args.Timeout)
}

// Annotate describes the outputs in the schema.
func (state *MembershipState) Annotate(a infer.Annotator) {
	a.Describe(&state.NodeID, "Consul's ID of the machine's agent.")
}

// WireDependencies keeps the tokens and keys secret in the outputs too.
func (Membership) WireDependencies(f infer.FieldSelector, args *MembershipArgs, state *MembershipState) {
	f.OutputField(&state.VaultToken).AlwaysSecret()
	f.OutputField(&state.UnsealKeys).AlwaysSecret()
	f.OutputField(&state.ConsulToken).AlwaysSecret()
	f.OutputField(&state.NomadToken).AlwaysSecret()
	f.OutputField(&state.NodeID).DependsOn(f.InputField(&args.MachineID))
}

// Check reports every problem of the inputs at once.
func (Membership) Check(ctx context.Context, req infer.CheckRequest) (infer.CheckResponse[MembershipArgs], error) {
	args, failures, err := infer.DefaultCheck[MembershipArgs](ctx, req.NewInputs)
	if err != nil || len(failures) > 0 {
		return infer.CheckResponse[MembershipArgs]{Inputs: args, Failures: failures}, err
	}
	args.Roles, args.UnsealKeys = listed(args.Roles), listed(args.UnsealKeys)
	args.VaultNodes, args.ConsulNodes, args.NomadNodes = listed(args.VaultNodes), listed(args.ConsulNodes), listed(args.NomadNodes)
	c := problems{inputs: req.NewInputs}
	for name, value := range map[string]string{"machine": args.Machine, "lane": args.Lane, "region": args.Region} {
		if c.known(name) && value == "" {
			c.add(name, "must not be empty")
		}
	}
	for i, role := range args.Roles {
		if c.known("roles") && !slices.Contains(roles, role) {
			c.add(fmt.Sprintf("roles[%d]", i), "must be one of %s, got %q", strings.Join(roles, ", "), role)
		}
	}
	if c.known("atOnce") && args.AtOnce < 1 {
		c.add("atOnce", "must be at least 1, got %d", args.AtOnce)
	}
	for role, cluster := range map[string]struct {
		property string
		nodes    []Node
	}{
		roleVault: {"vaultNodes", args.VaultNodes}, roleConsulServer: {"consulNodes", args.ConsulNodes}, roleNomadServer: {"nomadNodes", args.NomadNodes},
	} {
		c.checkNodes(cluster.property, cluster.nodes)
		if c.known("roles") && c.known(cluster.property) && slices.Contains(args.Roles, role) && !slices.ContainsFunc(cluster.nodes, args.is) {
			c.add(cluster.property, "must hold the machine, %q, which has the role %s", args.Machine, role)
		}
	}
	c.checkAccess(args.CaPem, args.Timeout)
	return infer.CheckResponse[MembershipArgs]{Inputs: args, Failures: c.found}, nil
}

// is tells whether a node is on this machine.
func (args MembershipArgs) is(node Node) bool { return node.Name == args.Machine }

// Diff is a replacement for another machine, and an update for all else. Pulumi asks for it with an unknown machine before it
// deletes the membership of one that is to be replaced, and never for one that is removed for good: that tells who comes back.
func (r Membership) Diff(_ context.Context, req infer.DiffRequest[MembershipArgs, MembershipState]) (infer.DiffResponse, error) {
	was, is := req.State.MembershipArgs, req.Inputs
	detailed := map[string]p.PropertyDiff{}
	for property, changed := range map[string]bool{
		"roles":       !slices.Equal(was.Roles, is.Roles),
		"lane":        was.Lane != is.Lane,
		"atOnce":      was.AtOnce != is.AtOnce,
		"region":      was.Region != is.Region,
		"vaultNodes":  !slices.Equal(was.VaultNodes, is.VaultNodes),
		"vaultToken":  was.VaultToken != is.VaultToken,
		"unsealKeys":  !slices.Equal(was.UnsealKeys, is.UnsealKeys),
		"consulNodes": !slices.Equal(was.ConsulNodes, is.ConsulNodes),
		"consulToken": was.ConsulToken != is.ConsulToken,
		"nomadNodes":  !slices.Equal(was.NomadNodes, is.NomadNodes),
		"nomadToken":  was.NomadToken != is.NomadToken,
		"caPem":       was.CaPem != is.CaPem,
		"timeout":     was.Timeout != is.Timeout,
	} {
		if changed {
			detailed[property] = p.PropertyDiff{Kind: p.Update, InputDiff: true}
		}
	}
	for property, changed := range map[string]bool{
		"machine": was.Machine != is.Machine, "machineId": was.MachineID != is.MachineID,
	} {
		if changed {
			detailed[property] = p.PropertyDiff{Kind: p.UpdateReplace, InputDiff: true}
		}
	}
	if was.MachineID != is.MachineID {
		r.fleet.expect(was.Machine, is.MachineID != "")
	}
	another := was.Machine != is.Machine || was.MachineID != is.MachineID
	return infer.DiffResponse{HasChanges: len(detailed) > 0, DetailedDiff: detailed, DeleteBeforeReplace: another}, nil
}

// Create waits until the machine is a healthy member.
func (Membership) Create(ctx context.Context, req infer.CreateRequest[MembershipArgs]) (infer.CreateResponse[MembershipState], error) {
	args := req.Inputs
	resp := infer.CreateResponse[MembershipState]{ID: args.Machine, Output: MembershipState{MembershipArgs: args}}
	if req.DryRun {
		return resp, nil
	}
	ctx, cancel, err := within(ctx, args.Timeout)
	if err != nil {
		return resp, err
	}
	defer cancel()
	m, err := newMember(resp.Output)
	if err != nil {
		return resp, err
	}
	want := fmt.Sprintf("%s to be a healthy member of Consul and a healthy %s", args.Machine, strings.Join(args.Roles, ", "))
	return resp, until(ctx, want, func(ctx context.Context) (err error) {
		resp.Output.NodeID, err = m.present(ctx)
		return err
	})
}

// Update takes over how the clusters are reached, and what the machine's lane is.
func (Membership) Update(_ context.Context, req infer.UpdateRequest[MembershipArgs, MembershipState]) (infer.UpdateResponse[MembershipState], error) {
	return infer.UpdateResponse[MembershipState]{Output: MembershipState{req.Inputs, req.State.NodeID}}, nil
}

// Read warns of a machine that is not a healthy member. It is no difference to the state.
func (Membership) Read(ctx context.Context, req infer.ReadRequest[MembershipArgs, MembershipState]) (infer.ReadResponse[MembershipArgs, MembershipState], error) {
	resp := infer.ReadResponse[MembershipArgs, MembershipState](req)
	m, err := newMember(req.State)
	if err != nil {
		return resp, err
	}
	if _, err := m.present(ctx); err != nil {
		p.GetLogger(ctx).Warningf("%s is not as it should be: %s", m.Machine, describe(err))
	}
	return resp, nil
}

// Delete makes the machine leave when it is its turn and the others can do without it.
func (r Membership) Delete(ctx context.Context, req infer.DeleteRequest[MembershipState]) (infer.DeleteResponse, error) {
	m, err := newMember(req.State)
	if err != nil {
		return infer.DeleteResponse{}, err
	}
	return infer.DeleteResponse{}, r.fleet.leave(ctx, m, m.MembershipArgs)
}
