package api

import (
	"context"
	"slices"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/hetznercloud/hcloud-go/v2/hcloud/schema"

	"hashistack/localcloud/label"
)

func (a *API) firewallActionRoutes() {
	// Firewall actions wait for their turn on the server but do not lock it.
	a.works["apply_firewall"] = work{do: a.setFirewall, shared: true}
	a.works["remove_firewall"] = work{do: a.setFirewall, shared: true}
	a.works["set_firewall_rules"] = work{done: func(*action) {}, shared: true}

	firewallAction(a, "set_rules", func(f *firewall, req schema.FirewallActionSetRulesRequest) ([]*action, error) {
		rules, err := checkRules(req.Rules)
		if err != nil {
			return nil, err
		}
		f.Rules = rules
		set := a.start("set_firewall_rules", resource{"firewall", f.ID})
		return append([]*action{set}, a.sync("apply_firewall", f, a.protected(f))...), nil
	})
	firewallAction(a, "apply_to_resources", func(f *firewall, req schema.FirewallActionApplyToResourcesRequest) ([]*action, error) {
		before := a.protected(f)
		if err := a.addResources(f, req.ApplyTo); err != nil {
			return nil, err
		}
		added := slices.DeleteFunc(a.protected(f), func(s *server) bool { return slices.Contains(before, s) })
		return a.sync("apply_firewall", f, added), nil
	})
	firewallAction(a, "remove_from_resources", func(f *firewall, req schema.FirewallActionRemoveFromResourcesRequest) ([]*action, error) {
		before := a.protected(f)
		if err := a.removeResources(f, req.RemoveFrom); err != nil {
			return nil, err
		}
		after := a.protected(f)
		removed := slices.DeleteFunc(before, func(s *server) bool { return slices.Contains(after, s) })
		return a.sync("remove_firewall", f, removed), nil
	})
}

func firewallAction[Req any](a *API, path string, act func(*firewall, Req) ([]*action, error)) {
	a.route("POST /firewalls/{id}/actions/"+path, func(c *call) (reply, error) {
		var req Req
		f, err := a.firewalls().find(c)
		if err == nil {
			err = decode(c, &req)
		}
		if err != nil {
			return reply{}, err
		}
		acts, err := act(f, req)
		if err != nil {
			return reply{}, err
		}
		return created(map[string][]schema.Action{"actions": wireActions(acts)})
	})
}

// sync starts an action per server that brings its machine's firewall in line with the state.
func (a *API) sync(command string, f *firewall, servers []*server) []*action {
	var acts []*action
	for _, s := range servers {
		acts = append(acts, a.start(command, onServer(s.ID), resource{"firewall", f.ID}))
	}
	return acts
}

// setFirewall gives the machine the rules that the state has now, which may be newer than the action.
func (a *API) setFirewall(ctx context.Context, act action) error {
	spec, err := a.specOf(act.Target.ID)
	if err != nil {
		return err
	}
	return a.Runtime.SetFirewall(ctx, spec.ID, spec.Firewalled, spec.Rules)
}

// addResources applies a firewall to all resources, or to none when it returns an error.
func (a *API) addResources(f *firewall, resources []schema.FirewallResource) error {
	servers, selectors := slices.Clone(f.Servers), slices.Clone(f.Selectors)
	for _, r := range resources {
		switch {
		case r.Type == "server" && r.Server != nil:
			s, found := a.state.Servers.Get(r.Server.ID)
			switch {
			case !found:
				return errorf(hcloud.ErrorCodeFirewallResourceNotFound, "server with ID '%d' not found", r.Server.ID)
			case slices.Contains(servers, s.ID):
				return errorf(hcloud.ErrorCodeFirewallAlreadyApplied, "firewall was already applied to the server with ID '%d'", s.ID)
			case !a.public(s):
				return errorf(hcloud.ErrorCodePrivateNetOnlyServer, "server '%s' has no public interface", s.Name)
			case len(a.firewallsOf(s)) >= maxServerFirewalls:
				return limitExceeded("server_firewall_limit", maxServerFirewalls)
			}
			servers = append(servers, s.ID)
		case r.Type == "label_selector" && r.LabelSelector != nil:
			selector := r.LabelSelector.Selector
			if _, err := label.Parse(selector); err != nil || selector == "" {
				return invalid("label_selector", "must be a label selector, got %q", selector)
			}
			if slices.Contains(selectors, selector) {
				return errorf(hcloud.ErrorCodeFirewallAlreadyApplied, "firewall was already applied to '%s'", selector)
			}
			selectors = append(selectors, selector)
		default:
			return invalid("type", "must be server or label_selector, with the field of that name, got %q", r.Type)
		}
	}
	f.Servers, f.Selectors = servers, selectors
	return nil
}

// removeResources takes a firewall away from all resources, or from none when it returns an error. A resource that the
// firewall is not applied to is no error, as at Hetzner since 2025-08-04.
func (a *API) removeResources(f *firewall, resources []schema.FirewallResource) error {
	servers, selectors := slices.Clone(f.Servers), slices.Clone(f.Selectors)
	for _, r := range resources {
		switch {
		case r.Type == "server" && r.Server != nil:
			s, found := a.state.Servers.Get(r.Server.ID)
			if !found {
				return errorf(hcloud.ErrorCodeFirewallResourceNotFound, "server with ID '%d' not found", r.Server.ID)
			}
			if !slices.Contains(servers, s.ID) && f.protects(s) {
				return errorf(hcloud.ErrorCodeFirewallManagedByLabelSelector, "firewall is applied to server '%s' by a label selector", s.Name)
			}
			servers = slices.DeleteFunc(servers, func(id int64) bool { return id == s.ID })
		case r.Type == "label_selector" && r.LabelSelector != nil:
			selectors = slices.DeleteFunc(selectors, func(text string) bool { return text == r.LabelSelector.Selector })
		default:
			return invalid("type", "must be server or label_selector, with the field of that name, got %q", r.Type)
		}
	}
	f.Servers, f.Selectors = servers, selectors
	return nil
}
