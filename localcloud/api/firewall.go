package api

import (
	"cmp"
	"net/netip"
	"regexp"
	"slices"
	"strconv"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/hetznercloud/hcloud-go/v2/hcloud/schema"

	"hashistack/localcloud/label"
	"hashistack/localcloud/machine"
	"hashistack/localcloud/store"
)

const (
	maxRules      = 50
	maxRuleRanges = 100
)

type firewall struct {
	store.Meta
	Rules []schema.FirewallRule `json:"rules,omitempty"`
	// Servers and Selectors are what the firewall is applied to.
	Servers   []int64  `json:"servers,omitempty"`
	Selectors []string `json:"selectors,omitempty"`
}

// protects says whether a firewall is applied to a server, by name or by label.
func (f *firewall) protects(s *server) bool {
	return slices.Contains(f.Servers, s.ID) || slices.ContainsFunc(f.Selectors, func(text string) bool {
		selector, err := label.Parse(text)
		return err == nil && selector.Matches(s.Labels) // The selector was checked when it was stored.
	})
}

func (a *API) firewallsOf(s *server) []*firewall {
	var protecting []*firewall
	if !a.public(s) {
		return nil // Firewalls stand in front of the public interface only.
	}
	for _, f := range a.state.Firewalls.All() {
		if f.protects(s) {
			protecting = append(protecting, f)
		}
	}
	return protecting
}

func (a *API) public(s *server) bool {
	return a.primaryIPOf(s, ipv4) != nil || a.primaryIPOf(s, ipv6) != nil
}

func (a *API) protected(f *firewall) []*server {
	return slices.DeleteFunc(a.state.Servers.All(), func(s *server) bool { return !a.public(s) || !f.protects(s) })
}

// rules joins the rules of all firewalls of a server. Without any firewall all traffic may come in.
func (a *API) rules(s *server) (firewalled bool, rules []machine.Rule) {
	firewalls := a.firewallsOf(s)
	for _, f := range firewalls {
		for _, r := range f.Rules {
			rule := machine.Rule{Protocol: r.Protocol}
			if port := deref(r.Port); port != "any" {
				rule.Ports = port
			}
			for _, source := range r.SourceIPs {
				rule.Sources = append(rule.Sources, netip.MustParsePrefix(source))
			}
			rules = append(rules, rule)
		}
	}
	return len(firewalls) > 0, rules
}

// firewallStatus is pending while the rules are on their way to the machine.
func (a *API) firewallStatus(s *server) string {
	for _, act := range a.running(onServer(s.ID)) {
		if act.Command == "apply_firewall" || act.Command == "remove_firewall" {
			return string(hcloud.FirewallStatusPending)
		}
	}
	return string(hcloud.FirewallStatusApplied)
}

func serverResource(id int64) schema.FirewallResource {
	return schema.FirewallResource{Type: "server", Server: &schema.FirewallResourceServer{ID: id}}
}

func (a *API) wireFirewall(f *firewall) schema.Firewall {
	w := schema.Firewall{
		ID: f.ID, Name: f.Name, Labels: wireLabels(&f.Meta), Created: f.Created, Rules: f.Rules, AppliedTo: []schema.FirewallResource{},
	}
	if w.Rules == nil {
		w.Rules = []schema.FirewallRule{}
	}
	for _, id := range f.Servers {
		w.AppliedTo = append(w.AppliedTo, serverResource(id))
	}
	for _, selector := range f.Selectors {
		r := schema.FirewallResource{Type: "label_selector", LabelSelector: &schema.FirewallResourceLabelSelector{Selector: selector}}
		selected := &firewall{Selectors: []string{selector}}
		for _, s := range a.protected(selected) {
			r.AppliedToResources = append(r.AppliedToResources, serverResource(s.ID))
		}
		w.AppliedTo = append(w.AppliedTo, r)
	}
	return w
}

func (a *API) firewalls() *collection[*firewall, schema.Firewall] {
	return &collection[*firewall, schema.Firewall]{
		singular: "firewall", plural: "firewalls", table: &a.state.Firewalls, wire: a.wireFirewall, sorts: sortsByNameAndAge[*firewall](),
	}
}

func (a *API) firewallRoutes() {
	firewalls := a.firewalls()
	firewalls.routes(a)
	a.route("POST /firewalls", a.createFirewall)
	a.route("PUT /firewalls/{id}", func(c *call) (reply, error) {
		var req schema.FirewallUpdateRequest
		f, err := firewalls.find(c)
		if err == nil {
			err = decode(c, &req)
		}
		if err == nil {
			err = firewalls.update(f, deref(req.Name), req.Labels)
		}
		if err != nil {
			return reply{}, err
		}
		return ok(schema.FirewallUpdateResponse{Firewall: a.wireFirewall(f)})
	})
	a.route("DELETE /firewalls/{id}", func(c *call) (reply, error) {
		f, err := firewalls.find(c)
		if err != nil {
			return reply{}, err
		}
		if len(f.Servers)+len(f.Selectors) > 0 {
			return reply{}, errorf(hcloud.ErrorCodeResourceInUse, "firewall with ID '%d' is still in use", f.ID)
		}
		a.state.Firewalls.Remove(f.ID)
		return noContent()
	})
	a.firewallActionRoutes()
}

func (a *API) createFirewall(c *call) (reply, error) {
	var req schema.FirewallCreateRequest
	if err := decode(c, &req); err != nil {
		return reply{}, err
	}
	if a.state.Firewalls.Len() >= a.Limits.Firewalls {
		return reply{}, limitExceeded("firewall_limit", a.Limits.Firewalls)
	}
	rules, err := checkRules(req.Rules)
	if err != nil {
		return reply{}, err
	}
	f := &firewall{Rules: rules}
	if err := a.addResources(f, req.ApplyTo); err != nil {
		return reply{}, err
	}
	if f.Meta, err = a.firewalls().newMeta(a, req.Name, req.Labels); err != nil {
		return reply{}, err
	}
	a.state.Firewalls.Add(f)
	return created(schema.FirewallCreateResponse{
		Firewall: a.wireFirewall(f), Actions: wireActions(a.sync("apply_firewall", f, a.protected(f))),
	})
}

var portPattern = regexp.MustCompile(`^([0-9]{1,5})(?:-([0-9]{1,5}))?$`)

// checkRules returns the rules as answers show them.
func checkRules(requests []schema.FirewallRuleRequest) ([]schema.FirewallRule, error) {
	if len(requests) > maxRules {
		return nil, invalid("rules", "a firewall has at most %d rules, got %d", maxRules, len(requests))
	}
	var rules []schema.FirewallRule
	for _, r := range requests {
		if err := checkRule(r); err != nil {
			return nil, err
		}
		rules = append(rules, schema.FirewallRule{
			Direction: r.Direction, SourceIPs: r.SourceIPs, DestinationIPs: []string{}, Protocol: r.Protocol, Port: r.Port,
			Description: r.Description,
		})
	}
	return rules, nil
}

func checkRule(r schema.FirewallRuleRequest) error {
	withPorts := r.Protocol == "tcp" || r.Protocol == "udp"
	switch {
	case r.Direction == "out":
		return notImplemented("a firewall rule with direction out")
	case r.Direction != "in":
		return invalid("rules.direction", "must be in or out, got %q", r.Direction)
	case !withPorts && r.Protocol != "icmp" && r.Protocol != "esp" && r.Protocol != "gre":
		return invalid("rules.protocol", "must be tcp, udp, icmp, esp or gre, got %q", r.Protocol)
	case withPorts && r.Port == nil:
		return invalid("rules.port", "is required for %s", r.Protocol)
	case !withPorts && r.Port != nil:
		return invalid("rules.port", "is not allowed for %s", r.Protocol)
	case len(r.DestinationIPs) > 0:
		return invalid("rules.destination_ips", "is not allowed for direction in")
	case len(r.SourceIPs) == 0 || len(r.SourceIPs) > maxRuleRanges:
		return invalid("rules.source_ips", "must have 1 to %d networks, got %d", maxRuleRanges, len(r.SourceIPs))
	}
	for _, source := range r.SourceIPs {
		if p, err := netip.ParsePrefix(source); err != nil || p != p.Masked() {
			return invalid("rules.source_ips", "must be networks in CIDR notation with no host bits set, got %q", source)
		}
	}
	if withPorts && *r.Port != "any" {
		return checkPorts(*r.Port)
	}
	return nil
}

func checkPorts(text string) error {
	m := portPattern.FindStringSubmatch(text)
	if m == nil {
		return invalid("rules.port", "must be a port, a range such as 80-90, or any, got %q", text)
	}
	first, _ := strconv.Atoi(m[1])
	last, _ := strconv.Atoi(cmp.Or(m[2], m[1]))
	if first < 1 || last > 65535 || first > last {
		return invalid("rules.port", "must be within 1 and 65535 and ascend, got %q", text)
	}
	return nil
}
