package rotation

import (
	"context"
	"encoding/pem"
	"fmt"
	"strings"
	"sync"
	"time"

	"hashistack/internal/names"
)

// whileReplaced is what may fail while one machine after the other is replaced.
var whileReplaced = map[string]Allowance{
	consulAPI:   {8, 12, 40, "when a leader leaves, until the others have elected another"},
	nomadAPI:    {8, 12, 40, "when a leader leaves, until the others have elected another"},
	vaultAPI:    {8, 12, 40, "when the active Vault leaves, until another has taken over"},
	engines:     {8, 12, 40, "when a leader or the active Vault leaves, until another has taken over"},
	consulAgent: {60, 15, 0, "one server in three and one client in two is away, and cannot be asked"},
	consulDNS:   {60, 15, 0, "as above"},
	allThere:    {60, 15, 0, "as above"},
	pageHTTP:    {60, 15, 0, "an allocation has moved that the prober has not found yet"},
	pageAny:     {6, 4, 0, "as above, and no other is on a machine yet"},
}

// replaceMachines gives all machines another root, which replaces them.
func replaceMachines(ctx context.Context, p *proof, phase *Phase) error {
	if p.settings.generations["root"] < 2 {
		if err := rotate("root")(ctx, p, phase); err != nil {
			return err
		}
	}
	before, err := p.carried(ctx)
	if err != nil {
		return err
	}
	p.settings.raise("machineRoot")
	began := time.Now()
	fewest, err := p.following(ctx, func() error { return p.update(ctx) })
	if err != nil {
		return err
	}
	phase.note("%d machines were replaced in %.0f s; meanwhile %d allocations or more of the sample job ran", len(p.machines), time.Since(began).Seconds(), fewest)
	if fewest < 1 {
		phase.problem("there was a moment without an allocation of the sample job, or nobody said how many there are")
	}
	if err := p.outputs.Healthy(ctx); err != nil {
		return err
	}
	if err := p.sample.Spread(ctx); err != nil {
		return err
	}
	if err := p.findPages(ctx); err != nil {
		return err
	}
	if _, err := p.settled(ctx, began, 2*recovery); err != nil {
		return err
	}
	after, err := p.carried(ctx)
	if err != nil {
		return err
	}
	roots, err := p.roots()
	if err != nil {
		return err
	}
	newest := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: roots[len(roots)-1].Raw}))
	for _, machine := range p.machines {
		if after[machine] == before[machine] || after[machine] != strings.TrimSpace(newest) {
			phase.problem("%s does not carry the newest root, and nothing else", machine)
		}
	}
	return p.update(ctx, "--expect-no-changes")
}

// carried returns, by machine, the root that it was made with.
func (p *proof) carried(ctx context.Context) (map[string]string, error) {
	roots := map[string]string{}
	for _, machine := range p.machines {
		pem, err := p.stack.OnMachine(ctx, machine, "cat", names.CAFile)
		if err != nil {
			return nil, fmt.Errorf("on %s: %w", machine, err)
		}
		roots[machine] = strings.TrimSpace(string(pem))
	}
	return roots, nil
}

// following runs something that moves the sample job's allocations, and keeps telling the prober where they are. It
// returns how many ran when there were fewest, and 0 if it never heard of any.
func (p *proof) following(ctx context.Context, run func() error) (fewest int, err error) {
	heard := false
	following, stop := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		ticker := time.NewTicker(pace)
		defer ticker.Stop()
		for {
			if allocations, err := p.sample.Allocations(following); err == nil {
				if !heard || len(allocations) < fewest {
					heard, fewest = true, len(allocations)
				}
				p.showPages(allocations)
			}
			select {
			case <-following.Done():
				return
			case <-ticker.C:
			}
		}
	})
	err = run()
	stop()
	watching.Wait()
	return fewest, err
}
