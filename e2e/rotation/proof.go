// Package rotation proves that credentials never go stale. It brings up a platform on which everything lives for a
// minute or two, and uses it once a second as its users would. They must notice nothing while everything is renewed,
// while it is rotated on purpose, while Vault is away for longer than everything lives, and while machines restart.
package rotation

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"hashistack/e2e/jobs"
	"hashistack/e2e/stack"
	"hashistack/internal/names"
	"hashistack/internal/poll"
)

// proof is what the phases share.
type proof struct {
	stack    *stack.Stack
	settings settings
	outputs  *stack.Outputs
	sample   *jobs.Sample
	machines []string
	servers  []string
	clients  []string
	users    *users
	prober   *prober
	watch    *watch
	report   *Report
}

// Step is a phase: what happens while the probes go on, and which of them may fail.
type Step struct {
	name    string
	allowed map[string]Allowance
	run     func(ctx context.Context, p *proof, phase *Phase) error
}

// errProblems is returned, wrapped, when a phase has problems; the report lists them.
var errProblems = errors.New("not as it must be")

// Steps lists the steps of the whole proof with their numbers.
func Steps() string {
	var list strings.Builder
	for i, step := range steps() {
		fmt.Fprintf(&list, "%3d  %s\n", i+1, step.name)
	}
	return list.String()
}

// Choose picks steps by their numbers. Without numbers it picks all steps of the whole proof, or of the brief one,
// which watches everything being renewed and changes the gossip keys.
func Choose(numbers []string, brief bool) ([]Step, error) {
	all := steps()
	if brief {
		all = briefSteps()
	}
	var chosen []Step
	for _, text := range numbers {
		number, err := strconv.Atoi(text)
		if err != nil || number < 1 || number > len(all) {
			return nil, fmt.Errorf("a step is a number from 1 to %d, got %q", len(all), text)
		}
		chosen = append(chosen, all[number-1])
	}
	if len(numbers) == 0 {
		return all, nil
	}
	return chosen, nil
}

// Prove goes through the steps, from an empty cloud to an empty cloud, and writes what it found to a folder.
func Prove(ctx context.Context, s *stack.Stack, steps []Step, folder string) (err error) {
	if err := s.Down(ctx); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, s.Down(context.WithoutCancel(ctx)))
		fmt.Fprintf(s.Out, "\nfigures: %s\n", filepath.Join(folder, "rotation.json"))
	}()
	if err := Shorten(s); err != nil {
		return err
	}
	var phases stack.Phases
	if err := s.Prepare(ctx, &phases); err != nil {
		return err
	}
	if _, err := s.Operate(ctx, stack.Operation{Args: []string{"up", "--yes", "--skip-preview"}}); err != nil {
		return err
	}
	return ProveOn(ctx, s, steps, folder)
}

// Shorten has a stack that is still to come up let everything live for a minute or two.
func Shorten(s *stack.Stack) error { return begun().write(s) }

// ShortenNow has a stack that is up let everything live for a minute or two. Lifetimes hold from the next issue on, so everything is
// issued anew.
func ShortenNow(ctx context.Context, s *stack.Stack, outputs *stack.Outputs) error {
	if err := Shorten(s); err != nil {
		return err
	}
	if _, err := s.Operate(ctx, stack.Operation{Args: []string{"up", "--yes", "--skip-preview"}}); err != nil {
		return err
	}
	since := map[string]string{}
	for _, machine := range slices.Sorted(maps.Keys(outputs.Machines)) {
		// consul-template keeps a certificate that it finds. It starts over with another login.
		now, err := s.OnMachine(ctx, machine, "bash", "-c",
			"rm -f "+names.ConsulBundle+" "+names.NomadBundle+" "+names.VaultBundle+" /var/lib/consul-template/*.pem && date +%s && systemctl restart vault-agent")
		if err != nil {
			return fmt.Errorf("on %s: %w", machine, err)
		}
		since[machine] = strings.TrimSpace(string(now))
	}
	// Nomad restarts for its new Consul token, and starts no task while it does.
	for machine, then := range since {
		if err := poll.Until(ctx, 2*time.Minute, "Nomad on "+machine+" to have restarted with a new Consul token", func(ctx context.Context) error {
			_, err := s.OnMachine(ctx, machine, "bash", "-c", restarted, "restarted", then)
			return err
		}); err != nil {
			return err
		}
	}
	return outputs.Healthy(ctx)
}

// restarted succeeds if Nomad has started since it was given a Consul token, and that was issued after a point in time.
const restarted = `issued=$(stat --format=%Y ` + names.NomadDir + `consul.json)
started=$(date --date="$(systemctl show nomad --property=ActiveEnterTimestamp --value)" +%s)
[ "$issued" -ge "$1" ] && [ "$started" -ge "$issued" ] || { echo "token of $issued, Nomad of $started, want both after $1" >&2; exit 1; }`

func begun() settings { return settings{lifetimes: short, generations: map[string]int{}} }

// ProveOn goes through the steps on a stack that is up and was shortened before.
func ProveOn(ctx context.Context, s *stack.Stack, steps []Step, folder string) (err error) {
	p := &proof{stack: s, settings: begun(), report: &Report{
		Lifetimes: short.text(),
		Unproven:  []string{"a step of one machine's clock: the machines are containers and share the kernel's"},
	}}
	defer func() { err = errors.Join(err, p.report.write(folder)) }()
	if err := p.begin(ctx); err != nil {
		return err
	}
	defer p.prober.close()
	var failed []error
	for _, step := range steps {
		if err := p.phase(ctx, step); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", step.name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failed...)
}

// begin starts to use the platform.
func (p *proof) begin(ctx context.Context) error {
	var err error
	if p.outputs, err = p.stack.Outputs(ctx); err != nil {
		return err
	}
	if p.sample, err = jobs.New(p.stack, p.outputs); err != nil {
		return err
	}
	if err := p.sample.Run(ctx); err != nil {
		return err
	}
	if err := p.outputs.Healthy(ctx); err != nil {
		return err
	}
	p.machines = slices.Sorted(maps.Keys(p.outputs.Machines))
	p.servers, p.clients = p.outputs.Members("server"), p.outputs.Members("client")
	slices.Sort(p.servers)
	slices.Sort(p.clients)
	p.users = &users{stack: p.stack, outputs: p.outputs, sample: p.sample, password: rand.Text(), machines: p.machines, servers: p.servers}
	if err := p.users.prepare(ctx); err != nil {
		return err
	}
	if err := p.findPages(ctx); err != nil {
		return err
	}
	p.watch = newWatch(p.stack, p.machines, p.servers)
	p.prober = startProber(ctx, append(p.users.probes(), p.watch.probe)...)
	_, err = p.settled(ctx, time.Now(), 2*time.Minute)
	return err
}

// findPages tells the prober where the allocations of the sample job are.
func (p *proof) findPages(ctx context.Context) error {
	allocations, err := p.allocations(ctx)
	if err != nil {
		return err
	}
	p.showPages(allocations)
	return nil
}

func (p *proof) showPages(allocations []jobs.Allocation) {
	var pages []string
	for _, allocation := range allocations {
		pages = append(pages, allocation.Address)
	}
	p.users.pages.Store(&pages)
}

// update is `pulumi up` with the settings as they are now.
func (p *proof) update(ctx context.Context, args ...string) error {
	if err := p.settings.write(p.stack); err != nil {
		return err
	}
	_, err := p.stack.Operate(ctx, stack.Operation{Args: append([]string{"up", "--yes", "--skip-preview"}, args...)})
	return err
}

// phase runs a step, and judges what the probes found meanwhile.
func (p *proof) phase(ctx context.Context, step Step) error {
	fmt.Fprintf(p.stack.Out, "\n--- %s\n", step.name)
	phase := &Phase{Name: step.name, Allowed: maps.Clone(step.allowed)}
	p.report.Phases = append(p.report.Phases, phase)
	if err := p.findPages(ctx); err != nil {
		return err
	}
	began := time.Now()
	failed := step.run(ctx, p, phase)
	if failed == nil {
		failed = p.outputs.Healthy(ctx)
	}
	ended := time.Now()
	if ctx.Err() != nil {
		return errors.Join(failed, ctx.Err())
	}
	phase.Seconds = seconds(ended.Sub(began).Seconds())
	phase.Credentials = p.watch.between(began, ended)
	var err error
	if phase.Probes, err = p.prober.between(ctx, began, ended); err != nil {
		return err
	}
	phase.allowElections(ended.Sub(began))
	phase.judge(p.servers)
	if failed != nil {
		phase.problem("%v", failed)
	}
	if len(phase.Problems) > 0 {
		phase.note("the sample job says: %s", p.sample.Events(ctx))
	}
	phase.print(p.stack.Out)
	if len(phase.Problems) > 0 {
		return fmt.Errorf("%w: %d problems", errProblems, len(phase.Problems))
	}
	return nil
}

// use lets the probes go on for a time, and shows which of them fail.
func (p *proof) use(ctx context.Context, d time.Duration) error {
	began := time.Now()
	over, progress := time.After(d), time.NewTicker(30*time.Second)
	defer progress.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-over:
			return nil
		case <-progress.C:
			fmt.Fprintf(p.stack.Out, "%s of %s; failing now: %q\n", time.Since(began).Round(time.Second), d, p.prober.failing(3, probeNames))
		}
	}
}

const (
	// inARow is how many successes in a row show that a probe works.
	inARow = 5
)

// settled waits until all probes work and no machine's credentials are about to expire. It returns the time from since
// to the beginning of the last failed probe.
func (p *proof) settled(ctx context.Context, since time.Time, limit time.Duration) (time.Duration, error) {
	client, err := p.outputs.Consul()
	if err != nil {
		return 0, err
	}
	err = poll.Until(ctx, limit, "all probes to work and all credentials to be fresh", func(ctx context.Context) error {
		if failing := p.prober.failing(inARow, probeNames); len(failing) > 0 {
			return fmt.Errorf("these do not: %q", failing)
		}
		found, err := credentials(ctx, client)
		if err != nil {
			return err
		}
		for _, machine := range p.machines {
			if found[machine].state != "passing" {
				return fmt.Errorf("credentials of %s: %q: %s", machine, found[machine].state, strings.Join(notPassing(found[machine].says), "; "))
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	figures, err := p.prober.between(ctx, since, time.Now())
	if err != nil {
		return 0, err
	}
	last := since
	for _, f := range figures {
		if f.LastFailed.After(last) {
			last = f.LastFailed
		}
	}
	return last.Sub(since), nil
}
