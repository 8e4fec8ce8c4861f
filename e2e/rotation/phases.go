package rotation

import (
	"context"
	"fmt"
	"slices"
	"time"

	"hashistack/e2e/jobs"
	"hashistack/internal/poll"
)

const (
	// lives is how long the platform is watched, in longest lifetimes. renewals is how often everything must have been
	// issued anew by then.
	lives    = 5
	renewals = 4
	// recovery is how long everything may take to work again.
	recovery = time.Minute
)

func steps() []Step {
	return []Step{
		{name: fmt.Sprintf("%d lifetimes go by", lives), run: lifetimesGoBy(lives, renewals)},
		{name: "the gossip keys change, interrupted and resumed", run: interruptedGossip},
		{name: "Vault's engines change their tokens", run: rotate("consulEngine", "nomadEngine")},
		{name: "the intermediate authorities change", run: rotateAuthorities("intermediates")},
		{name: "the root changes", run: rotateAuthorities("root")},
		{name: "the machines get the new root: each is replaced, one after the other", allowed: whileReplaced, run: replaceMachines},
		{name: "every machine logs in to Vault anew", run: newLogins},
		{name: "Vault is away for longer than everything lives", allowed: withoutVault, run: vaultAway},
		{name: "each server restarts, one after the other", allowed: withoutServer, run: restartAll("server")},
		{name: "each client restarts, one after the other", allowed: withoutClient, run: restartAll("client")},
		{name: "a renewal that fails is seen in time", run: failingRenewal},
	}
}

// briefSteps are the steps that run as a part of the tests.
func briefSteps() []Step {
	return []Step{
		{name: "a lifetime goes by", run: lifetimesGoBy(1, 1)},
		{name: "the gossip keys change", run: gossip},
	}
}

// leftAlone runs something that nobody may notice: the sample job goes on, and no certificate is refused anywhere.
func (p *proof) leftAlone(ctx context.Context, phase *Phase, run func() error) error {
	began := time.Now()
	if err := p.jobGoesOn(ctx, phase, run); err != nil {
		return err
	}
	refused, err := handshakeFailures(ctx, p.stack, p.machines, began)
	if err != nil {
		return err
	}
	if len(refused) > 0 {
		phase.problem("%d lines in the journals about certificates that were not accepted, such as: %v", len(refused), refused[:min(3, len(refused))])
		return nil
	}
	phase.note("no handshake failed, by the journals of %d machines", len(p.machines))
	return nil
}

// jobGoesOn runs something that must not disturb the sample job, other than on the machines in except. Everywhere else
// the allocations must be the same afterwards, and no task may have restarted.
func (p *proof) jobGoesOn(ctx context.Context, phase *Phase, run func() error, except ...string) error {
	excepted := func(a jobs.Allocation) bool { return slices.Contains(except, a.Node) }
	before, err := p.allocations(ctx)
	if err != nil {
		return err
	}
	if err := run(); err != nil {
		return err
	}
	after, err := p.allocations(ctx)
	if err != nil {
		return err
	}
	before, after = slices.DeleteFunc(before, excepted), slices.DeleteFunc(after, excepted)
	if !slices.Equal(before, after) {
		phase.problem("allocations of the sample job: want %v, got %v", before, after)
		return nil
	}
	phase.note("%d allocations of the sample job, none restarted", len(after))
	return nil
}

// lifetimesGoBy only watches, for as many of the longest lifetimes as lives says. Everything must have been issued anew
// renewals times by then.
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

// rotate raises generations in the configuration, and then watches until every certificate has been issued anew.
func rotate(generations ...string) func(context.Context, *proof, *Phase) error {
	return func(ctx context.Context, p *proof, phase *Phase) error {
		return p.leftAlone(ctx, phase, func() error {
			p.settings.raise(generations...)
			if err := p.update(ctx); err != nil {
				return err
			}
			return p.use(ctx, p.settings.lifetimes.Certificate*5/4)
		})
	}
}

// rotateAuthorities is rotate for authorities that sign certificates. Before and after it, a client that trusts only
// one of the stack's roots, whichever, must be able to verify every listener. After it, every listener must have a
// certificate from another issuer.
func rotateAuthorities(generation string) func(context.Context, *proof, *Phase) error {
	return func(ctx context.Context, p *proof, phase *Phase) error {
		before, err := p.issuers(ctx)
		if err != nil {
			return err
		}
		if err := rotate(generation)(ctx, p, phase); err != nil {
			return err
		}
		after, err := p.issuers(ctx)
		if err != nil {
			return err
		}
		for address, issuer := range after {
			if issuer == before[address] {
				phase.problem("%s is still certified by %s", address, issuer)
			}
		}
		phase.note("%d listeners, such as the one with %q before and %q now", len(after), before[p.anyListener()], after[p.anyListener()])
		return nil
	}
}

// allocations returns those of the sample job.
func (p *proof) allocations(ctx context.Context) ([]jobs.Allocation, error) {
	return asked(ctx, "the allocations of the sample job", p.sample.Allocations)
}

// asked asks until there is an answer: a server may be about to restart for its new token.
func asked[T any](ctx context.Context, what string, ask func(context.Context) (T, error)) (answer T, err error) {
	err = poll.Until(ctx, recovery, what, func(ctx context.Context) (err error) {
		answer, err = ask(ctx)
		return err
	})
	return answer, err
}

// newLogins ends Vault Agent's login on every machine, one after the other. What was issued under an old login ends
// with it, within a lifetime, and must be replaced before that.
func newLogins(ctx context.Context, p *proof, phase *Phase) error {
	return p.leftAlone(ctx, phase, func() error {
		for _, machine := range p.machines {
			if _, err := p.stack.OnMachine(ctx, machine, "systemctl", "restart", "vault-agent"); err != nil {
				return fmt.Errorf("on %s: %w", machine, err)
			}
		}
		return p.use(ctx, p.settings.lifetimes.longest())
	})
}

// withoutVault is what may fail while Vault is away for longer than certificates live: for 150 s, and a minute of
// recovery. The sample job's page must not fail.
var withoutVault = map[string]Allowance{
	vaultAPI:    {230, 220, 230, "Vault is away"},
	engines:     {230, 220, 230, "Vault is away"},
	consulAPI:   {200, 190, 200, "Consul's certificates expire, and with them new connections to it"},
	consulAgent: {200, 190, 0, "as above"},
	nomadAPI:    {200, 190, 200, "Nomad's certificates expire, and with them new connections to it"},
	consulDNS:   {200, 190, 0, "the agents' certificates expire, and with them new connections between them"},
}

// untouched is how long everything but Vault itself works as if Vault were there: certificates live for a minute, and are renewed
// before their last quarter.
const untouched = 10 * time.Second

// vaultAway stops Vault everywhere for longer than any lifetime, and then starts and unseals it.
func vaultAway(ctx context.Context, p *proof, phase *Phase) error {
	return p.jobGoesOn(ctx, phase, func() error {
		if err := p.onServers(ctx, "systemctl", "stop", "vault"); err != nil {
			return err
		}
		stopped := time.Now()
		if err := p.use(ctx, untouched); err != nil {
			return err
		}
		figures, err := p.prober.between(ctx, stopped, stopped.Add(untouched))
		if err != nil {
			return err
		}
		for name := range withoutVault {
			if f := figures[name]; name != vaultAPI && name != engines && f.Failed > 0 {
				phase.problem("%s: %d failed within %s of Vault's end, when all that it has issued is valid: %v", name, f.Failed, untouched, f.Errors)
			}
		}
		if err := p.use(ctx, p.settings.lifetimes.longest()*5/4-time.Since(stopped)); err != nil {
			return err
		}
		if err := p.onServers(ctx, "systemctl", "start", "vault"); err != nil {
			return err
		}
		if err := p.unseal(ctx); err != nil {
			return err
		}
		took, err := p.settled(ctx, time.Now(), recovery)
		if err != nil {
			return err
		}
		phase.note("the last probe failed %.0f s after Vault was unsealed", took.Seconds())
		return nil
	})
}

// unseal runs the command that the runbook has for sealed servers. A whole update would also talk to Consul and Nomad,
// and their certificates may have expired while Vault was sealed.
func (p *proof) unseal(ctx context.Context) error {
	if err := p.update(ctx, "--refresh", "--target", "**:VaultUnseal::**"); err != nil {
		return fmt.Errorf("unseal: %w", err)
	}
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

// withoutServer and withoutClient are what may fail while machines restart one after the other.
var (
	withoutServer = map[string]Allowance{
		consulAPI:   {15, 12, 20, "when the leader restarts, until the others have elected another"},
		nomadAPI:    {15, 12, 20, "when the leader restarts, until the others have elected another"},
		vaultAPI:    {15, 12, 20, "when the active Vault restarts, until another has taken over"},
		engines:     {15, 12, 20, "when a leader or the active Vault restarts, until another has taken over"},
		consulAgent: {20, 10, 0, "one machine in five is away"},
		consulDNS:   {20, 10, 0, "one machine in five is away"},
		allThere:    {20, 10, 0, "one machine in five is away"},
	}
	// A client's shutdown takes twenty seconds: see its system.conf.d/hashistack.conf.
	withoutClient = map[string]Allowance{
		consulAgent: {30, 10, 0, "one machine in five is away"},
		consulDNS:   {30, 10, 0, "one machine in five is away"},
		allThere:    {30, 10, 0, "one machine in five is away"},
		pageHTTP:    {120, 15, 0, "one of its two allocations is on the machine that is away"},
	}
)

// restartAll restarts the machines of a pool one after the other; the next goes when everything works again.
func restartAll(pool string) func(context.Context, *proof, *Phase) error {
	return func(ctx context.Context, p *proof, phase *Phase) error {
		machines := p.outputs.Members(pool)
		slices.Sort(machines)
		for _, machine := range machines {
			if err := p.jobGoesOn(ctx, phase, func() error { return p.restart(ctx, phase, machine) }, machine); err != nil {
				return fmt.Errorf("restart of %s: %w", machine, err)
			}
		}
		return nil
	}
}

func (p *proof) restart(ctx context.Context, phase *Phase, machine string) error {
	began := time.Now()
	if err := p.stack.Reboot(ctx, machine); err != nil {
		return err
	}
	if slices.Contains(p.servers, machine) {
		if err := p.unseal(ctx); err != nil {
			return err
		}
	}
	if err := p.outputs.Healthy(ctx); err != nil {
		return err
	}
	if _, err := p.settled(ctx, began, 2*recovery); err != nil {
		return err
	}
	phase.note("all well %.0f s after the restart of %s began", time.Since(began).Seconds(), machine)
	return nil
}
