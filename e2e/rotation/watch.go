package rotation

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"hashistack/e2e/stack"
	"hashistack/internal/names"
)

// watchScript names each credential of a machine with a value that changes when the credential does: serial numbers, and
// digests of tokens.
var watchScript = `for file in ` + names.ConsulBundle + ` ` + names.NomadBundle + ` ` + names.VaultBundle + `; do
	[ ! -e $file ] || echo "certificate of $(basename $file .pem)" $(openssl x509 -noout -serial -in $file)
done
[ ! -e ` + names.VaultToken + ` ] || echo "Vault token" $(sha256sum <` + names.VaultToken + ` | cut -c1-16)
tokens() {
	grep -oE "\"($2)\": *\"[0-9a-f-]{36}\"" "$1" | tr -d '":' | while read -r name value; do
		echo "$3 $name" $(echo "$value" | sha256sum | cut -c1-16)
	done
}
tokens ` + names.ConsulDir + `tokens.json "agent|dns|config_file_service_registration" "Consul token"
tokens ` + names.NomadDir + `consul.json token "Nomad's Consul"`

// change is a new value of a credential.
type change struct {
	seen  time.Time
	value string
}

// watch notes how the credentials of all machines change.
type watch struct {
	stack    *stack.Stack
	machines []string

	mu      sync.Mutex
	changes map[string][]change // by machine and credential
}

func newWatch(s *stack.Stack, machines []string) *watch {
	return &watch{stack: s, machines: machines, changes: map[string][]change{}}
}

// probe looks at one machine at each tick. A machine that is down and cannot be looked at is no failure.
func (w *watch) probe(ctx context.Context, tick int, _ func(string, error)) {
	machine := w.machines[tick%len(w.machines)]
	out, err := w.stack.OnMachine(ctx, machine, "bash", "-c", watchScript)
	if err != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for lines := bufio.NewScanner(strings.NewReader(string(out))); lines.Scan(); {
		line := lines.Text()
		i := strings.LastIndexByte(line, ' ')
		if i < 0 {
			continue
		}
		key := machine + ": " + line[:i]
		seen := w.changes[key]
		if len(seen) == 0 || seen[len(seen)-1].value != line[i+1:] {
			w.changes[key] = append(seen, change{time.Now(), line[i+1:]})
		}
	}
}

// Changes says how often a kind of credential changed on the machines that have it.
type Changes struct {
	Credential string `json:"credential"`
	Machines   int    `json:"machines"`
	// Fewest and Most are the changes on one machine: the one with the fewest, and the one with the most.
	Fewest int `json:"fewest"`
	Most   int `json:"most"`
}

// between counts the changes in a span of time. The first value that is ever seen is no change.
func (w *watch) between(from, to time.Time) []Changes {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := map[string]*Changes{}
	for key, seen := range w.changes {
		_, name, _ := strings.Cut(key, ": ")
		count := 0
		for _, c := range seen[1:] {
			if c.seen.After(from) && c.seen.Before(to) {
				count++
			}
		}
		kind := all[name]
		if kind == nil {
			kind = &Changes{Credential: name, Fewest: count}
			all[name] = kind
		}
		kind.Machines++
		kind.Fewest, kind.Most = min(kind.Fewest, count), max(kind.Most, count)
	}
	var sorted []Changes
	for _, name := range slices.Sorted(maps.Keys(all)) {
		sorted = append(sorted, *all[name])
	}
	return sorted
}

// untrusted matches what a product logs when it, or its peer, does not accept a certificate.
const untrusted = `x509:|certificate has expired|bad certificate|unknown authority|expired certificate|certificate required|private key does not match`

// units are the ones that take part in handshakes.
var units = []string{"vault", "vault-agent", "consul-template", "consul", "nomad"}

// handshakeFailures returns the lines about refused certificates in the journals of all machines since a point in time.
func handshakeFailures(ctx context.Context, s *stack.Stack, machines []string, since time.Time) ([]string, error) {
	command := fmt.Sprintf("journalctl --no-pager --quiet --output=short-iso --since=@%d", since.Unix())
	for _, unit := range units {
		command += " --unit=" + unit
	}
	command += " " + strings.Join(stack.NotAudit, " ") + " | grep -iE '" + untrusted + "' || true"
	var lines []string
	for _, machine := range machines {
		out, err := s.OnMachine(ctx, machine, "bash", "-c", command)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(out)) {
			lines = append(lines, machine+": "+strings.TrimSpace(line))
		}
	}
	return lines, nil
}
