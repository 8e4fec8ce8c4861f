package rotation

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"regexp"
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

// The credentials that the script finds, by kind of machine: these and no others, so that none can go missing unseen.
var (
	ofEvery = []string{
		"certificate of consul", "certificate of nomad", "Vault token", "Consul token agent", "Consul token dns", "Nomad's Consul token",
	}
	ofServer = []string{"certificate of vault", "Consul token config_file_service_registration"}
)

// watch notes how the credentials of all machines change.
type watch struct {
	stack    *stack.Stack
	machines []string
	servers  []string

	mu      sync.Mutex
	changes map[string][]change // by machine and credential
}

func newWatch(s *stack.Stack, machines, servers []string) *watch {
	return &watch{stack: s, machines: machines, servers: servers, changes: map[string][]change{}}
}

// expected are the credentials that a machine has.
func (w *watch) expected(machine string) []string {
	if slices.Contains(w.servers, machine) {
		return slices.Concat(ofEvery, ofServer)
	}
	return ofEvery
}

// probe looks at one machine at each tick, and records whether it has what it is to have.
func (w *watch) probe(ctx context.Context, tick int, record func(string, error)) {
	machine := w.machines[tick%len(w.machines)]
	out, err := w.stack.OnMachine(ctx, machine, "bash", "-c", watchScript)
	if err == nil {
		err = w.note(machine, string(out), time.Now())
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", machine, err)
	}
	record(allThere, err)
}

// note keeps what the script found on a machine. It returns an error for a credential that is missing, and for one that nobody
// expects.
func (w *watch) note(machine, out string, at time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []string
	for line := range strings.Lines(out) {
		name, value, ok := cutLast(strings.TrimSpace(line))
		if !ok {
			continue
		}
		found = append(found, name)
		key := machine + ": " + name
		seen := w.changes[key]
		if len(seen) == 0 || seen[len(seen)-1].value != value {
			w.changes[key] = append(seen, change{at, value})
		}
	}
	expected := slices.Sorted(slices.Values(w.expected(machine)))
	slices.Sort(found)
	if !slices.Equal(found, expected) {
		return fmt.Errorf("want the credentials %q, got %q", expected, found)
	}
	return nil
}

// cutLast cuts a line at its last space.
func cutLast(line string) (name, value string, ok bool) {
	i := strings.LastIndexByte(line, ' ')
	if i < 0 {
		return "", "", false
	}
	return line[:i], line[i+1:], true
}

// Changes says how often a kind of credential changed on the machines that have it.
type Changes struct {
	Credential string `json:"credential"`
	Machines   int    `json:"machines"`
	// Fewest and Most are the changes on one machine: the one with the fewest, and the one with the most.
	Fewest int `json:"fewest"`
	Most   int `json:"most"`
}

// between counts the changes in a span of time of all credentials that the machines are to have. The first value that is ever seen
// is no change.
func (w *watch) between(from, to time.Time) []Changes {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := map[string]*Changes{}
	for _, machine := range w.machines {
		for _, name := range w.expected(machine) {
			count := 0
			for i, c := range w.changes[machine+": "+name] {
				if i > 0 && c.seen.After(from) && c.seen.Before(to) {
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
	}
	var sorted []Changes
	for _, name := range slices.Sorted(maps.Keys(all)) {
		sorted = append(sorted, *all[name])
	}
	return sorted
}

// untrusted matches what a product logs when it, or its peer, does not accept a certificate.
var untrusted = regexp.MustCompile(`(?i)x509:|certificate has expired|bad certificate|unknown authority|expired certificate|certificate required|private key does not match`)

// units are the ones that take part in handshakes.
var units = []string{"vault", "vault-agent", "consul-template", "consul", "nomad"}

// control is a unit that writes such a line on purpose: a journal in which it is not found says nothing of the others. Each of its
// lines begins with mark.
const (
	control = "rotation-control"
	mark    = "x509: planted "
)

// handshakeFailures returns the lines about refused certificates in the journals of all machines since a point in time.
func handshakeFailures(ctx context.Context, s *stack.Stack, machines []string, since time.Time) ([]string, error) {
	planted := mark + rand.Text()
	command := fmt.Sprintf("systemd-run --quiet --wait --collect --unit=%s echo '%s' && journalctl --sync && journalctl --no-pager --quiet --output=short-iso --since=@%d",
		control, planted, since.Unix())
	for _, unit := range append([]string{control}, units...) {
		command += " --unit=" + unit
	}
	command += " " + strings.Join(stack.NotAudit, " ")
	var lines []string
	for _, machine := range machines {
		out, err := s.OnMachine(ctx, machine, "bash", "-c", command)
		if err != nil {
			return nil, fmt.Errorf("read the journal of %s: %w", machine, err)
		}
		found, err := refusals(string(out), planted)
		if err != nil {
			return nil, fmt.Errorf("the journal of %s: %w", machine, err)
		}
		for _, line := range found {
			lines = append(lines, machine+": "+line)
		}
	}
	return lines, nil
}

// refusals are the lines of a journal about refused certificates, without the one that was planted, which must be there.
func refusals(journal, planted string) (lines []string, err error) {
	err = fmt.Errorf("want the planted line %q, got %d bytes without it", planted, len(journal))
	for line := range strings.Lines(journal) {
		switch {
		case strings.Contains(line, planted):
			if untrusted.MatchString(line) {
				err = nil
			}
		case untrusted.MatchString(line) && !strings.Contains(line, mark):
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines, err
}
