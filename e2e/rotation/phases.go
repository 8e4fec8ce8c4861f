package rotation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	consul "github.com/hashicorp/consul/api"

	"hashistack/e2e/jobs"
	"hashistack/e2e/poll"
	"hashistack/e2e/stack"
)

const (
	// lives is for how many of the longest lifetimes the platform is watched, and renewals how often everything must have
	// been issued anew by then.
	lives    = 5
	renewals = 4
	// recovery is how long everything may take to work again.
	recovery = time.Minute
)

func steps() []step {
	return slices.Concat([]step{
		{name: fmt.Sprintf("%d lifetimes go by", lives), run: lifetimesGoBy(lives, renewals)},
		{name: "the gossip keys change, interrupted and resumed", run: interruptedGossip},
		{name: "Vault's engines change their tokens", run: rotate("consulEngine", "nomadEngine")},
		{name: "the intermediate authorities change", run: rotate("intermediates")},
		{name: "the root changes", run: rotate("root")},
	}, []step{
		{name: "Vault is away for longer than everything lives", allowed: withoutVault, run: vaultAway},
	}, reboots(), []step{
		{name: "a renewal that fails is seen in time", run: failingRenewal},
	})
}

// briefSteps are a part of the tests.
func briefSteps() []step {
	return []step{
		{name: "a lifetime goes by", run: lifetimesGoBy(1, 1)},
		{name: "the gossip keys change", run: gossip},
	}
}

func keys[K comparable, V any](m map[K]V) func(yield func(K) bool) { return maps.Keys(m) }

func (l lifetimes) text() map[string]string {
	return map[string]string{
		"certificate": l.Certificate.String(), "login": l.Login.String(), "token": l.Token.String(),
		"tokenMax": l.TokenMax.String(), "workload": l.Workload.String(),
	}
}

// leftAlone runs what must not disturb the sample job: the allocations are the same as before, and no task has restarted.
// Nor may anybody have met a certificate that was not accepted.
func (p *proof) leftAlone(ctx context.Context, phase *Phase, run func() error) error {
	began := time.Now()
	before, err := p.sample.Allocations(ctx)
	if err != nil {
		return err
	}
	if err := run(); err != nil {
		return err
	}
	after, err := p.sample.Allocations(ctx)
	if err != nil {
		return err
	}
	if !slices.Equal(before, after) {
		phase.problem("allocations of the sample job: want %v, got %v", before, after)
	} else {
		phase.note("%d allocations of the sample job, none restarted", len(after))
	}
	refused, err := handshakeFailures(ctx, p.stack, p.machines, began)
	if err != nil {
		return err
	}
	if len(refused) > 0 {
		phase.problem("%d lines in the journals about certificates that were not accepted, such as: %v", len(refused), refused[:min(3, len(refused))])
	} else {
		phase.note("no handshake failed, by the journals of %d machines", len(p.machines))
	}
	return nil
}

// lifetimesGoBy does nothing but look, until everything has been issued anew so and so often.
func lifetimesGoBy(lives, renewals int) func(context.Context, *proof, *Phase) error {
	return func(ctx context.Context, p *proof, phase *Phase) error {
		began := time.Now()
		return p.leftAlone(ctx, phase, func() error {
			if err := p.use(ctx, time.Duration(lives)*p.settings.lifetimes.longest()); err != nil {
				return err
			}
			for _, c := range p.watch.between(began, time.Now()) {
				if c.Fewest < renewals {
					phase.problem("%s changed only %d times on some machine, want %d", c.Credential, c.Fewest, renewals)
				}
			}
			return nil
		})
	}
}

// gossip changes the gossip keys of both products by the configuration.
func gossip(ctx context.Context, p *proof, phase *Phase) error {
	return p.leftAlone(ctx, phase, func() error {
		return p.changeGossip(ctx, phase, func() error { return p.update(ctx) })
	})
}

// interruptedGossip kills the update that changes the gossip keys between two of its steps, and runs it again.
func interruptedGossip(ctx context.Context, p *proof, phase *Phase) error {
	return p.leftAlone(ctx, phase, func() error {
		return p.changeGossip(ctx, phase, func() error {
			if err := p.settings.write(p.stack); err != nil {
				return err
			}
			if err := p.killUpdate(ctx, "hashistack:index:GossipUse"); err != nil {
				return err
			}
			found, err := p.gossipKeys(ctx)
			if err != nil {
				return err
			}
			phase.note("pulumi was killed while Consul's members had %d keys and Nomad's %d", len(found["consul"]), len(found["nomad"]))
			if err := p.stack.Settle(ctx); err != nil {
				return err
			}
			return p.update(ctx)
		})
	})
}

// changeGossip looks at the keys and the members before and after the change.
func (p *proof) changeGossip(ctx context.Context, phase *Phase, change func() error) error {
	before, err := p.gossipKeys(ctx)
	if err != nil {
		return err
	}
	p.settings.raise("consulGossip", "nomadGossip")
	if err := change(); err != nil {
		return err
	}
	after, err := p.gossipKeys(ctx)
	if err != nil {
		return err
	}
	for product, keys := range after {
		if len(keys) != 1 || slices.Equal(keys, before[product]) {
			phase.problem("%s: want one gossip key, another than before, got %d keys", product, len(keys))
		}
	}
	phase.note("all members have one gossip key, another than before")
	return p.outputs.Healthy(ctx) // every machine is still a member
}

// rotate raises generations in the configuration, and goes on until every certificate has been issued anew. Then whoever
// knows but one of the roots that are in use, whichever, must be able to verify every server.
func rotate(generations ...string) func(context.Context, *proof, *Phase) error {
	return func(ctx context.Context, p *proof, phase *Phase) error {
		return p.leftAlone(ctx, phase, func() error {
			before, err := p.issuers(ctx)
			if err != nil {
				return err
			}
			p.settings.raise(generations...)
			if err := p.update(ctx); err != nil {
				return err
			}
			if err := p.use(ctx, p.settings.lifetimes.Certificate*5/4); err != nil {
				return err
			}
			after, err := p.issuers(ctx)
			if err != nil {
				return err
			}
			changed := 0
			for address, issuer := range after {
				if issuer != before[address] {
					changed++
				}
			}
			phase.note("%d of %d listeners have a certificate of another authority than before", changed, len(after))
			if want := map[bool]int{true: len(after)}[slices.Contains(generations, "intermediates")]; want > 0 && changed != want {
				phase.problem("%d listeners still have a certificate of an old authority", want-changed)
			}
			return nil
		})
	}
}

// gossipKeys are the keys that any member has, by product.
func (p *proof) gossipKeys(ctx context.Context) (map[string][]string, error) {
	client, err := p.outputs.Consul()
	if err != nil {
		return nil, err
	}
	answers, err := client.Operator().KeyringList((&consul.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return nil, err
	}
	found := map[string]map[string]bool{"consul": {}, "nomad": {}}
	for _, answer := range answers {
		for key := range answer.Keys {
			found["consul"][key] = true
		}
	}
	nomad, err := p.outputs.Nomad()
	if err != nil {
		return nil, err
	}
	defer nomad.Close()
	var answer struct{ Keys map[string]int }
	if _, err := nomad.Raw().Query("/v1/agent/keyring/list", &answer, nil); err != nil {
		return nil, err
	}
	for key := range answer.Keys {
		found["nomad"][key] = true
	}
	sorted := map[string][]string{}
	for product, keys := range found {
		sorted[product] = slices.Sorted(maps.Keys(keys))
	}
	return sorted, nil
}

// killUpdate runs `pulumi up` and kills it as soon as it begins with a resource of a type.
func (p *proof) killUpdate(ctx context.Context, kind string) error {
	var process *os.Process
	var once sync.Once
	killed := errors.New("it ended before the moment came")
	_, err := p.stack.Operate(ctx, stack.Operation{
		Args:    []string{"up", "--yes", "--skip-preview"},
		Started: func(started *os.Process) { process = started },
		Event: func(e stack.Event) {
			if b := e.Begin; b != nil && !b.Planning && b.Metadata.Type == kind && b.Metadata.Op != "same" {
				once.Do(func() { killed = process.Kill() })
			}
		},
	})
	if killed != nil {
		return errors.Join(killed, err)
	}
	return nil
}

// withoutVault is what may fail while Vault is away for longer than certificates live. The sample job's page must not.
var withoutVault = map[string]Allowance{
	vaultAPI:    {1000, "Vault is away"},
	engines:     {1000, "Vault is away"},
	consulAPI:   {1000, "Consul's certificates expire, and with them new connections to it"},
	consulAgent: {1000, "as above"},
	nomadAPI:    {1000, "Nomad's certificates expire, and with them new connections to it"},
	consulDNS:   {1000, "the agents' certificates expire, and with them new connections between them"},
}

// vaultAway stops Vault everywhere, for longer than any lifetime, and lets it come back.
func vaultAway(ctx context.Context, p *proof, phase *Phase) error {
	before, err := p.sample.Allocations(ctx)
	if err != nil {
		return err
	}
	if err := p.onServers(ctx, "systemctl", "stop", "vault"); err != nil {
		return err
	}
	if err := p.use(ctx, p.settings.lifetimes.longest()*5/4); err != nil {
		return err
	}
	if err := p.onServers(ctx, "systemctl", "start", "vault"); err != nil {
		return err
	}
	if err := p.update(ctx, "--refresh"); err != nil {
		return fmt.Errorf("unseal: %w", err)
	}
	returned := time.Now()
	took, err := p.settled(ctx, returned, recovery)
	if err != nil {
		return err
	}
	phase.note("the last probe failed %.0f s after Vault was unsealed", took.Seconds())
	after, err := p.sample.Allocations(ctx)
	if err != nil {
		return err
	}
	if !slices.Equal(before, after) {
		phase.problem("allocations of the sample job: want %v, got %v", before, after)
	}
	phase.note("%d allocations of the sample job, none restarted", len(after))
	return nil
}

func (p *proof) onServers(ctx context.Context, command ...string) error {
	for _, server := range p.servers {
		if _, err := p.stack.OnMachine(ctx, server, command...); err != nil {
			return fmt.Errorf("on %s: %w", server, err)
		}
	}
	return nil
}

// reboots are a step for each machine.
func reboots() []step {
	var all []step
	for _, kind := range []struct {
		pool    string
		allowed map[string]Allowance
	}{
		{"server", map[string]Allowance{
			consulAgent: {20, "one machine in five is away"},
			consulDNS:   {20, "one machine in five is away"},
			pageHTTP:    {20, "it is asked from a machine that is away"},
		}},
		{"client", map[string]Allowance{
			consulAgent: {20, "one machine in five is away"},
			consulDNS:   {20, "one machine in five is away"},
			pageHTTP:    {60, "it is asked from a machine that is away, and one allocation is on that machine"},
		}},
	} {
		all = append(all, step{
			name: "each " + kind.pool + " restarts, one after the other", allowed: kind.allowed,
			run: func(ctx context.Context, p *proof, phase *Phase) error { return p.rebootAll(ctx, phase, kind.pool) },
		})
	}
	return all
}

func (p *proof) rebootAll(ctx context.Context, phase *Phase, pool string) error {
	machines := p.outputs.Members(pool)
	slices.Sort(machines)
	for _, machine := range machines {
		before, err := p.sample.Allocations(ctx)
		if err != nil {
			return err
		}
		began := time.Now()
		if err := p.stack.Reboot(ctx, machine); err != nil {
			return err
		}
		if pool == "server" {
			if err := p.update(ctx, "--refresh"); err != nil {
				return fmt.Errorf("unseal %s: %w", machine, err)
			}
		}
		if err := p.outputs.Healthy(ctx); err != nil {
			return fmt.Errorf("after the restart of %s: %w", machine, err)
		}
		if _, err := p.settled(ctx, began, 2*recovery); err != nil {
			return fmt.Errorf("after the restart of %s: %w", machine, err)
		}
		phase.note("%s: all well again %.0f s after its restart began", machine, time.Since(began).Seconds())
		after, err := p.sample.Allocations(ctx)
		if err != nil {
			return err
		}
		elsewhere := func(a jobs.Allocation) bool { return a.Node == machine }
		if !slices.Equal(slices.DeleteFunc(before, elsewhere), slices.DeleteFunc(after, elsewhere)) {
			phase.problem("allocations on other machines than %s: want %v, got %v", machine, before, after)
		}
	}
	return nil
}

// failingRenewal cuts one machine off from Vault, and sees Consul show it before anything has expired.
func failingRenewal(ctx context.Context, p *proof, phase *Phase) error {
	p.settings.lifetimes = slow
	if err := p.update(ctx); err != nil {
		return err
	}
	// What was issued before lives its short life out.
	if err := p.use(ctx, short.longest()); err != nil {
		return err
	}
	machine := p.clients[0]
	const cut = `nft -f - <<-END
		table inet cut {
			chain output {
				type filter hook output priority 0; policy accept;
				tcp dport 8200 drop
			}
		}
	END`
	client, err := p.outputs.Consul()
	if err != nil {
		return err
	}
	began := time.Now()
	if _, err := p.stack.OnMachine(ctx, machine, "bash", "-c", cut); err != nil {
		return err
	}
	if err := poll.Until(ctx, 2*slow.longest(), "Consul to show that "+machine+" renews nothing", func(ctx context.Context) error {
		states, err := credentials(ctx, client)
		if err == nil && states[machine] == "passing" {
			err = errors.New("it is still passing")
		}
		return err
	}); err != nil {
		return err
	}
	left, err := p.stack.OnMachine(ctx, machine, "bash", "-c",
		`for file in /etc/consul.d/tls/consul.pem /etc/nomad.d/tls/nomad.pem; do openssl x509 -noout -checkend 0 -in $file >/dev/null || echo $file; done`)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		phase.problem("already expired when Consul showed it: %s", left)
	}
	phase.note("%s was cut off from Vault; Consul showed it after %.0f s, when everything was still valid", machine, time.Since(began).Seconds())
	if _, err := p.stack.OnMachine(ctx, machine, "nft", "delete", "table", "inet", "cut"); err != nil {
		return err
	}
	restored := time.Now()
	if _, err := p.settled(ctx, restored, 2*recovery); err != nil {
		return err
	}
	phase.note("all passing again %.0f s after it was let back", time.Since(restored).Seconds())
	return nil
}

// credentials is the state of the service credentials in Consul, by machine.
func credentials(ctx context.Context, client *consul.Client) (map[string]string, error) {
	entries, _, err := client.Health().Service("credentials", "", false, new(consul.QueryOptions).WithContext(ctx))
	if err != nil {
		return nil, err
	}
	states := map[string]string{}
	for _, entry := range entries {
		states[entry.Node.Node] = entry.Checks.AggregatedStatus()
	}
	return states, nil
}
