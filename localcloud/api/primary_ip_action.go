package api

import (
	"context"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/hetznercloud/hcloud-go/v2/hcloud/schema"
)

func (a *API) primaryIPActionRoutes() {
	a.works["assign_primary_ip"] = work{do: a.setPublic, failed: func(act *action) { a.setAssignee(act.Other, 0) }}
	a.works["unassign_primary_ip"] = work{do: a.setPublic, failed: func(act *action) { a.setAssignee(act.Other, act.Target.ID) }}
	a.works["change_primary_ip_protection"] = work{done: func(*action) {}}

	primaryIPAction(a, "assign", func(ip *primaryIP, req schema.PrimaryIPActionAssignRequest) (*action, error) {
		if req.AssigneeType != "server" {
			return nil, invalid("assignee_type", "must be server, got %q", req.AssigneeType)
		}
		if ip.Assignee != 0 {
			return nil, errorf(hcloud.ErrorCodePrimaryIPAlreadyAssigned, "primary IP with ID '%d' is already assigned to the server with ID '%d'", ip.ID, ip.Assignee)
		}
		s, err := a.assignable(req.AssigneeID, ip.Type)
		if err != nil {
			return nil, err
		}
		if err := a.settled(ip); err != nil {
			return nil, err
		}
		if s.Location != ip.Location {
			return nil, errorf(hcloud.ErrorCodePrimaryIPDatacenterMismatch, "primary IP with ID '%d' is in another location than server '%s'", ip.ID, s.Name)
		}
		return a.startAssign("assign_primary_ip", ip, s), nil
	})
	primaryIPAction(a, "unassign", func(ip *primaryIP, _ struct{}) (*action, error) {
		s, found := a.state.Servers.Get(ip.Assignee)
		if !found {
			return nil, errorf("primary_ip_not_assigned", "primary IP with ID '%d' is not assigned", ip.ID)
		}
		if err := a.readdressable(s); err != nil {
			return nil, err
		}
		act := a.startAssign("unassign_primary_ip", ip, s)
		ip.Assignee = 0
		return act, nil
	})
	primaryIPAction(a, "change_protection", func(ip *primaryIP, req schema.PrimaryIPActionChangeProtectionRequest) (*action, error) {
		ip.ProtectDelete = req.Delete
		return a.start("change_primary_ip_protection", resource{"primary_ip", ip.ID}), nil
	})
}

func primaryIPAction[Req any](a *API, path string, act func(*primaryIP, Req) (*action, error)) {
	a.route("POST /primary_ips/{id}/actions/"+path, func(c *call) (reply, error) {
		var req Req
		ip, err := a.primaryIPs().find(c)
		if err == nil {
			err = decode(c, &req)
		}
		if err != nil {
			return reply{}, err
		}
		started, err := act(ip, req)
		if err != nil {
			return reply{}, err
		}
		return created(schema.ActionGetResponse{Action: started.wire()})
	})
}

// assignable returns the server when a primary IP of this version can be given to it.
func (a *API) assignable(serverID int64, version ipVersion) (*server, error) {
	s, err := a.servers().get(serverID)
	if err != nil {
		return nil, err
	}
	if a.primaryIPOf(s, version) != nil {
		code := hcloud.ErrorCodeServerHasIPv4
		if version == ipv6 {
			code = hcloud.ErrorCodeServerHasIPv6
		}
		return nil, errorf(code, "server '%s' already has an %s address", s.Name, version)
	}
	return s, a.readdressable(s)
}

// readdressable returns an error that says why the addresses of a server cannot be changed now, or nil.
func (a *API) readdressable(s *server) error {
	if err := a.unlocked(s); err != nil {
		return err
	}
	return a.mustBeOff(s)
}

// settled returns the error `locked` while an action of the primary IP is under way: until that ends, the machine that
// loses the address still has it.
func (a *API) settled(ip *primaryIP) error {
	for _, act := range a.state.Actions.All() {
		if act.running() && act.concerns("primary_ip", ip.ID) {
			return errorf(hcloud.ErrorCodeLocked, "primary IP with ID '%d' is locked: action %d (%s) is running", ip.ID, act.ID, act.Command)
		}
	}
	return nil
}

// startAssign assigns a primary IP to a server in the state, and starts the action that gives the machine the address.
func (a *API) startAssign(command string, ip *primaryIP, s *server) *action {
	ip.Assignee = s.ID
	return a.start(command, onServer(s.ID), resource{"primary_ip", ip.ID})
}

func (a *API) setAssignee(id, serverID int64) {
	if ip, found := a.state.PrimaryIPs.Get(id); found {
		ip.Assignee = serverID
	}
}

// setPublic brings a machine's public address in line with the state, and its firewall with the address.
func (a *API) setPublic(ctx context.Context, act action) error {
	spec, err := a.specOf(act.Target.ID)
	if err != nil {
		return err
	}
	if err := a.Runtime.SetPublic(ctx, spec.ID, spec.Public); err != nil {
		return err
	}
	return a.Runtime.SetFirewall(ctx, spec.ID, spec.Firewalled, spec.Rules)
}
