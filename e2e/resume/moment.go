package resume

import (
	"context"
	"fmt"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"

	"hashistack/e2e/stack"
	"hashistack/internal/stackstate"
)

// Moment is when pulumi is killed: while it creates a resource, or when it has created one of several.
type Moment struct {
	// What is said of it, for people.
	What string
	// Kind and Name are the resource's; an empty name means any of that kind.
	Kind, Name string
	// OneOfSeveral waits for the end of the first creation, while others of that kind are under way. Otherwise pulumi is killed
	// while it creates the resource.
	OneOfSeveral bool
	// Until prepares a look for what must exist before the stopped pulumi is killed. This is the worst moment of a
	// create: it is done, but pulumi does not know. Nil kills as soon as the state is that of the moment.
	Until func(ctx context.Context, s *stack.Stack) (look, error)
	// Remedy is true where the next `pulumi up` must refuse, and the command of the runbook's section that its error names must help.
	Remedy bool
}

// Moments are spread over the whole of an update.
func Moments() []Moment {
	return []Moment{
		{What: "the network exists in the cloud but not in the state", Kind: "hcloud:index/network:Network", Until: networkExists},
		{What: "a machine exists in the cloud but not in the state", Kind: "hcloud:index/server:Server", Name: "server-2", Until: serverExists("server-2")},
		{What: "one machine is created, others are being created", Kind: "hcloud:index/server:Server", OneOfSeveral: true},
		{What: "the machines boot and Vault is waited for", Kind: "hashistack:index:VaultInit"},
		{What: "Vault is initialised but its keys are not in the state", Kind: "hashistack:index:VaultInit", Until: vaultInitialised, Remedy: true},
		{What: "one Vault is unsealed, others are not", Kind: "hashistack:index:VaultUnseal", OneOfSeveral: true},
		{What: "a mount exists in Vault but not in the state", Kind: "vault:index/mount:Mount", Name: "pki-consul", Until: mountExists("pki-consul")},
		{What: "machines' roles exist in Vault but not in the state", Kind: "vault:appRole/authBackendRole:AuthBackendRole", Name: "server-1", Until: roleExists("server-1")},
		{What: "Consul's ACL system is being bootstrapped", Kind: "hashistack:index:ConsulBootstrap"},
		{What: "a token exists in Consul but not in the state", Kind: "hashistack:index:ConsulToken", Name: "consul-engine", Until: consulTokenExists},
		{What: "Nomad's ACL system is bootstrapped, its token for Vault is being created", Kind: "nomad:index/aclToken:AclToken", Name: "vault", Until: nomadTokenExists},
	}
}

// near chooses the event at which pulumi is stopped: the first for which it is true. The state follows a moment later.
func (m Moment) near(e stack.Event) bool {
	if m.OneOfSeveral {
		return e.End != nil && e.End.Touches(m.Kind, m.Name)
	}
	return e.Begin != nil && e.Begin.Touches(m.Kind, m.Name)
}

// missed says how a state differs from that of the moment, nil if it does not: a creation is under way, and the state does
// not have its result. Of several, it has another's.
func (m Moment) missed(state *apitype.DeploymentV3) error {
	is := func(r apitype.ResourceV3) bool {
		return string(r.Type) == m.Kind && (m.Name == "" || r.URN.Name() == m.Name)
	}
	underWay := func(op apitype.OperationV2) bool {
		return is(op.Resource) && op.Type == apitype.OperationTypeCreating && !stackstate.Has(state, op.Resource.URN)
	}
	created := slices.ContainsFunc(state.Resources, is)
	switch {
	case created && !m.OneOfSeveral:
		return fmt.Errorf("want the creation of %s under way, got it in the state", m)
	case !created && m.OneOfSeveral:
		return fmt.Errorf("want one of %s in the state, got none", m)
	case !slices.ContainsFunc(state.PendingOperations, underWay):
		return fmt.Errorf("want the creation of %s under way, got none among the %d operations that are pending", m, len(state.PendingOperations))
	}
	return nil
}

// String names the resource.
func (m Moment) String() string {
	if m.Name == "" {
		return m.Kind
	}
	return m.Kind + " " + m.Name
}
