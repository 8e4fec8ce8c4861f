package rotation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	consul "github.com/hashicorp/consul/api"

	"hashistack/internal/names"
	"hashistack/internal/poll"
)

// failingRenewal cuts one machine off from Vault, and checks that Consul shows it before anything has expired.
func failingRenewal(ctx context.Context, p *proof, phase *Phase) error {
	p.settings.lifetimes = slow
	if err := p.update(ctx); err != nil {
		return err
	}
	// Wait until everything that was issued with the short lifetimes has been replaced.
	if err := p.use(ctx, short.longest()); err != nil {
		return err
	}
	machine := p.clients[0]
	cut := fmt.Sprintf(`nft -f - <<-END
		table inet cut {
			chain output {
				type filter hook output priority 0; policy accept;
				tcp dport %d drop
			}
		}
	END`, names.VaultPort)
	client, err := p.outputs.Consul()
	if err != nil {
		return err
	}
	began := time.Now()
	if _, err := p.stack.OnMachine(ctx, machine, "bash", "-c", cut); err != nil {
		return err
	}
	var says string
	if err := poll.Until(ctx, slow.longest(), "Consul to show that "+machine+" renews nothing", func(ctx context.Context) error {
		found, err := credentials(ctx, client)
		if err == nil && found[machine].state == "passing" {
			err = errors.New("it is still passing")
		}
		says = found[machine].says
		return err
	}); err != nil {
		return err
	}
	for _, credential := range []string{names.ConsulBundle, names.NomadBundle, "login to Vault", "Consul token dns", "root"} {
		if !strings.Contains(says, credential) {
			phase.problem("the check says nothing of %s, but: %s", credential, says)
		}
	}
	left, err := p.stack.OnMachine(ctx, machine, "bash", "-c",
		`for file in `+names.ConsulBundle+` `+names.NomadBundle+`; do openssl x509 -noout -checkend 0 -in $file >/dev/null || echo $file; done`)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		phase.problem("already expired when Consul showed it: %s", left)
	}
	phase.note("%s was cut off from Vault; Consul showed it after %.0f s, when everything was still valid, and said: %s",
		machine, time.Since(began).Seconds(), strings.Join(notPassing(says), "; "))
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

// noted is what the service `credentials` in Consul says of a machine.
type noted struct{ state, says string }

// credentials returns what is noted of every machine.
func credentials(ctx context.Context, client *consul.Client) (map[string]noted, error) {
	entries, _, err := client.Health().Service("credentials", "", false, new(consul.QueryOptions).WithContext(ctx))
	if err != nil {
		return nil, err
	}
	machines := map[string]noted{}
	for _, entry := range entries {
		n := noted{state: entry.Checks.AggregatedStatus()}
		for _, check := range entry.Checks {
			if check.ServiceName == "credentials" { // not a check of the node itself
				n.says += check.Output
			}
		}
		machines[entry.Node.Node] = n
	}
	return machines, nil
}

func notPassing(says string) []string {
	return slices.DeleteFunc(strings.Split(strings.TrimSpace(says), "\n"), func(line string) bool { return strings.HasPrefix(line, "passing: ") })
}
