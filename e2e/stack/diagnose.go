package stack

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// journalLines is how much of each machine's journal is shown.
const journalLines = 15

// units are what to look at on a machine when a resource of a provider failed.
var units = map[string][]string{
	"hcloud":     {"cloud-init-local", "cloud-init", "cloud-config", "cloud-final"},
	"hashistack": {"cloud-init-local", "cloud-init", "cloud-config", "cloud-final", "vault", "vault-agent", "consul-template", "consul", "nomad"},
	"vault":      {"vault", "vault-agent", "consul-template"},
	"consul":     {"consul", "consul-template", "vault-agent"},
	"nomad":      {"nomad", "consul-template", "consul"},
}

// colour is pulumi's markup in messages.
var colour = regexp.MustCompile(`<\{%[^%]*%\}>`)

// Diagnose says what failed in an operation, on which machine, and what that machine's journal had last.
func (s *Stack) Diagnose(ctx context.Context, events []Event) {
	failures := failuresOf(events)
	if len(failures) == 0 {
		return
	}
	machines, err := s.machines(ctx)
	if err != nil {
		s.say("the machines cannot be listed: %v", err)
	}
	shown := map[string]bool{}
	for _, f := range failures {
		s.say("\nFAILED: %s %s\n  %s", f.kind, f.name, strings.ReplaceAll(f.message, "\n", "\n  "))
		provider, _, _ := strings.Cut(f.kind, ":")
		for _, machine := range concerned(machines, f) {
			if key := machine + provider; !shown[key] {
				shown[key] = true
				s.showMachine(ctx, machine, units[provider])
			}
		}
	}
}

// DiagnoseError shows the machines that an error names, or all if it names none.
func (s *Stack) DiagnoseError(ctx context.Context, failed error) {
	machines, err := s.machines(ctx)
	if err != nil {
		s.say("the machines cannot be listed: %v", err)
	}
	s.say("\nFAILED: %v", failed)
	for _, machine := range concerned(machines, failure{message: failed.Error()}) {
		s.showMachine(ctx, machine, units["hashistack"])
	}
}

type failure struct{ kind, name, message string }

// failuresOf collects the resources that failed with what was said about them.
func failuresOf(events []Event) []failure {
	messages := map[string][]string{}
	for _, e := range events {
		if d := e.Diagnostic; d != nil && d.Severity == "error" && d.URN != "" {
			messages[d.URN] = append(messages[d.URN], strings.TrimSpace(colour.ReplaceAllString(d.Message, "")))
		}
	}
	var all []failure
	for urn, said := range messages {
		kind := urn[:strings.LastIndex(urn, "::")]
		kind = kind[strings.LastIndex(kind, "::")+2:]
		kind = kind[strings.LastIndex(kind, "$")+1:]
		if kind == "pulumi:pulumi:Stack" && len(messages) > 1 {
			continue // "update failed"
		}
		all = append(all, failure{kind, urn[strings.LastIndex(urn, "::")+2:], strings.Join(slices.Compact(said), "\n")})
	}
	slices.SortFunc(all, func(a, b failure) int { return strings.Compare(a.kind+a.name, b.kind+b.name) })
	return all
}

// concerned returns the machines that a failure names. If it names none that exist, it may be any of them, unless the
// cloud itself refused something.
func concerned(machines []string, f failure) []string {
	named := slices.DeleteFunc(slices.Clone(machines), func(machine string) bool {
		return f.name != machine && !strings.Contains(f.message, machine)
	})
	if len(named) > 0 || strings.HasPrefix(f.kind, "hcloud:") {
		return named
	}
	return machines
}

func (s *Stack) machines(ctx context.Context) ([]string, error) {
	client, err := s.Hetzner()
	if err != nil {
		return nil, err
	}
	servers, err := client.Server.All(ctx)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(servers))
	for _, server := range servers {
		names = append(names, server.Name)
	}
	slices.Sort(names)
	return names, nil
}

// showMachine prints what is wrong with a machine as far as systemd and cloud-init know, and the journal's end.
func (s *Stack) showMachine(ctx context.Context, machine string, units []string) {
	s.say("  on %s:", machine)
	for _, question := range [][]string{
		{"systemctl", "list-units", "--failed", "--plain", "--no-legend", "--no-pager"},
		{"bash", "-c", "cloud-init status | head -1"},
	} {
		answer, err := s.OnMachine(ctx, machine, question...)
		if err != nil {
			s.say("    %v", err)
			return
		}
		if text := strings.TrimSpace(string(answer)); text != "" {
			s.say("    %s", strings.ReplaceAll(text, "\n", "\n    "))
		}
	}
	journal, err := s.Journal(ctx, machine, journalLines, units...)
	if err != nil {
		s.say("    its journal: %v", err)
		return
	}
	s.say("    the last %d lines in its journal of %s:\n      %s", journalLines, strings.Join(units, ", "),
		strings.ReplaceAll(strings.TrimSpace(string(journal)), "\n", "\n      "))
	s.say("    more: %s", fmt.Sprintf(`docker exec $(docker ps -qf label=hashistack.localcloud.server=%s) journalctl -e`, machine))
}
