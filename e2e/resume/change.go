package resume

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	consul "github.com/hashicorp/consul/api"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"

	"hashistack/e2e/jobs"
	"hashistack/e2e/stack"
)

// Change is an update of a platform that is in use, and when it is interrupted. The next update must go on from there.
type Change struct {
	What string
	// Servers is how many there are before, three or five.
	Servers int
	// To changes the configuration.
	To func(config map[string]any) error
	// At chooses the event at which pulumi gets the signal.
	At func(stack.Event) bool
	// Signal is SIGKILL, after which somebody has to settle, or SIGINT: Ctrl-C, after which pulumi finishes what it is at.
	Signal syscall.Signal
}

// kinds of resources that a roll touches.
const (
	serverKind     = "hcloud:index/server:Server"
	membershipKind = "hashistack:index:Membership"
)

// begins and ends choose events of what pulumi does to a resource.
func begins(kind, name string, ops ...apitype.OpType) func(stack.Event) bool {
	return func(e stack.Event) bool { return e.Begin != nil && is(e.Begin, kind, name, ops) }
}

func ends(kind, name string, ops ...apitype.OpType) func(stack.Event) bool {
	return func(e stack.Event) bool { return e.End != nil && is(e.End, kind, name, ops) }
}

// is tells whether a step is one of the operations on a resource. A name that ends in a dash begins that of any machine of a pool.
func is(step *stack.StepEvent, kind, name string, ops []apitype.OpType) bool {
	if !slices.Contains(ops, apitype.OpType(step.Metadata.Op)) {
		return false
	}
	if !strings.HasSuffix(name, "-") {
		return step.Touches(kind, name)
	}
	return step.Touches(kind, "") && strings.Contains(step.Metadata.URN, "::"+name)
}

// Changes are interrupted inside a roll of the servers and of the clients, and inside three servers becoming five and back.
func Changes() []Change {
	const (
		gone    = apitype.OpDeleteReplaced
		created = apitype.OpCreateReplacement
		removed = apitype.OpDelete
		added   = apitype.OpCreate
		kill    = syscall.SIGKILL
		ctrlC   = syscall.SIGINT
	)
	larger := func(pool string) func(map[string]any) error { return set(pool, "type", "cx33") }
	servers := func(count int) func(map[string]any) error { return set("server", "count", count) }
	return []Change{
		{"servers roll: the first is leaving its clusters", 3, larger("server"), begins(membershipKind, "server-", gone), kill},
		{"servers roll: the first has left, its machine is there", 3, larger("server"), ends(membershipKind, "server-", gone), kill},
		{"servers roll: the first machine is gone", 3, larger("server"), ends(serverKind, "server-", gone), kill},
		{"servers roll: the first new machine is there, its Vault is sealed", 3, larger("server"), ends(serverKind, "server-", created), kill},
		{"servers roll: Ctrl-C when the first new machine is there", 3, larger("server"), ends(serverKind, "server-", created), ctrlC},
		{"clients roll: the first is drained", 3, larger("client"), begins(membershipKind, "client-", gone), kill},
		{"clients roll: the first machine is gone", 3, larger("client"), ends(serverKind, "client-", gone), kill},
		{"clients roll: Ctrl-C when the first new machine is there", 3, larger("client"), ends(serverKind, "client-", created), ctrlC},
		{"three servers become five: the fourth machine is there", 3, servers(5), ends(serverKind, "server-4", added), kill},
		{"three servers become five: Ctrl-C when one of the three leaves", 3, servers(5), begins(membershipKind, "server-", gone), ctrlC},
		{"five servers become three: the fifth is leaving", 5, servers(3), begins(membershipKind, "server-5", removed), kill},
		{"five servers become three: Ctrl-C when the fourth machine is gone", 5, servers(3), ends(serverKind, "server-4", removed), ctrlC},
	}
}

// set changes a setting of a pool.
func set(pool, key string, value any) func(map[string]any) error {
	return func(config map[string]any) error {
		settings, err := stack.Pool(config, pool)
		if err != nil {
			return err
		}
		settings[key] = value
		return nil
	}
}

// ProveChange brings a platform up, interrupts a change of it, and sees that the next update finishes it. Nothing that was written
// before may be lost.
func ProveChange(ctx context.Context, s *stack.Stack, c Change) error {
	if err := s.Down(ctx); err != nil {
		return err
	}
	before, err := s.TakeInventory(ctx)
	if err != nil {
		return err
	}
	base := set("server", "count", c.Servers)
	if err := s.Configure(base); err != nil {
		return err
	}
	var phases stack.Phases
	if err := s.Prepare(ctx, &phases); err != nil {
		return err
	}
	if _, err := s.Operate(ctx, stack.Operation{Args: []string{"up", "--yes", "--skip-preview"}}); err != nil {
		return err
	}
	written, err := write(ctx, s)
	if err != nil {
		return err
	}
	if err := s.Configure(func(config map[string]any) error { return errors.Join(base(config), c.To(config)) }); err != nil {
		return err
	}
	if err := interrupt(ctx, s, c); err != nil {
		return err
	}
	fmt.Fprintln(s.Out, "--- interrupted; the next update")
	if c.Signal == syscall.SIGKILL {
		if err := s.Settle(ctx); err != nil {
			return fmt.Errorf("settle: %w", err)
		}
	}
	if _, err := s.Operate(ctx, stack.Operation{Args: []string{"up", "--yes", "--skip-preview"}}); err != nil {
		return fmt.Errorf("the next update: %w", err)
	}
	fmt.Fprintln(s.Out, "--- is all as it should be?")
	if err := errors.Join(healthy(ctx, s), written.readBack(ctx, s)); err != nil {
		return err
	}
	if err := s.Down(ctx); err != nil {
		return err
	}
	return s.LeftNothing(ctx, before)
}

// interrupt changes the platform and interrupts that. Some machine must be left as it was: otherwise the change was through, and
// nothing is proved.
func interrupt(ctx context.Context, s *stack.Stack, c Change) error {
	old, err := machines(ctx, s)
	if err != nil {
		return err
	}
	err = s.Interrupt(ctx, c.At, func(pulumi *os.Process) error { return pulumi.Signal(c.Signal) })
	if err != nil && (ctx.Err() != nil || c.Signal == syscall.SIGKILL) {
		return fmt.Errorf("interrupt: %w", err)
	}
	now, err := machines(ctx, s)
	if err != nil {
		return err
	}
	return interrupted(old, now)
}

// interrupted returns an error if none of the machines of before is left. Machines are known by their IDs in the cloud.
func interrupted(old, now map[string]string) error {
	for id := range old {
		if now[id] != "" {
			return nil
		}
	}
	return fmt.Errorf("want a machine that is left to be changed, got %v in the place of %v: the change was through before it was interrupted", now, old)
}

// machines are those of the cloud, by ID.
func machines(ctx context.Context, s *stack.Stack) (map[string]string, error) {
	cloud, err := s.Hetzner()
	if err != nil {
		return nil, err
	}
	all, err := cloud.Server.All(ctx)
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, server := range all {
		names[fmt.Sprint(server.ID)] = server.Name
	}
	return names, nil
}

// record is what was written and acknowledged before a change.
type record struct{ greeting string }

// key is where it is written, in Consul and in Vault.
const key = "resume/before"

// write writes to Consul and Vault, and starts the sample job, which Nomad has to keep.
func write(ctx context.Context, s *stack.Stack) (record, error) {
	outputs, err := s.Outputs(ctx)
	if err != nil {
		return record{}, err
	}
	sample, err := jobs.New(s, outputs)
	if err != nil {
		return record{}, err
	}
	if err := sample.Run(ctx); err != nil {
		return record{}, err
	}
	inConsul, err := outputs.Consul()
	if err != nil {
		return record{}, err
	}
	if _, err := inConsul.KV().Put(&consul.KVPair{Key: key, Value: []byte(sample.Greeting)}, (&consul.WriteOptions{}).WithContext(ctx)); err != nil {
		return record{}, fmt.Errorf("write to Consul: %w", err)
	}
	inVault, err := outputs.Vault()
	if err != nil {
		return record{}, err
	}
	if _, err := inVault.KVv2("secret").Put(ctx, key, map[string]any{"value": sample.Greeting}); err != nil {
		return record{}, fmt.Errorf("write to Vault: %w", err)
	}
	return record{sample.Greeting}, nil
}

// readBack returns an error for each write that was lost.
func (r record) readBack(ctx context.Context, s *stack.Stack) error {
	outputs, err := s.Outputs(ctx)
	if err != nil {
		return err
	}
	inConsul, err := outputs.Consul()
	if err != nil {
		return err
	}
	var lost []error
	pair, _, err := inConsul.KV().Get(key, (&consul.QueryOptions{}).WithContext(ctx))
	if err != nil || pair == nil || string(pair.Value) != r.greeting {
		lost = append(lost, fmt.Errorf("Consul: want %q at %s, got %v (%w)", r.greeting, key, pair, err))
	}
	inVault, err := outputs.Vault()
	if err != nil {
		return err
	}
	secret, err := inVault.KVv2("secret").Get(ctx, key)
	if err != nil || secret.Data["value"] != r.greeting {
		lost = append(lost, fmt.Errorf("Vault: want %q at %s, got %v (%w)", r.greeting, key, secret, err))
	}
	inNomad, err := outputs.Nomad()
	if err != nil {
		return err
	}
	if _, _, err := inNomad.Jobs().Info("page", nil); err != nil {
		lost = append(lost, fmt.Errorf("Nomad: the sample job: %w", err))
	}
	return errors.Join(lost...)
}
