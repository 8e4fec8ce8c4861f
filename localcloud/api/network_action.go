package api

import (
	"context"
	"errors"
	"net/netip"
	"slices"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/hetznercloud/hcloud-go/v2/hcloud/schema"

	"hashistack/localcloud/machine"
)

// networkActionRoutes serves the actions of networks. Subnets, routes and protection exist in the state only: the
// request changes them at once, and nothing is left to do when its action runs.
func (a *API) networkActionRoutes() {
	for _, command := range []string{"add_subnet", "delete_subnet", "add_route", "delete_route", "change_protection"} {
		a.works[command] = work{done: func(*action) {}}
	}
	a.works["change_ip_range"] = work{do: a.remakeNetwork, failed: func(act *action) {
		if n, found := a.state.Networks.Get(act.Target.ID); found {
			n.IPRange = act.Was
		}
	}}

	networkAction(a, "add_subnet", func(n *network, req schema.NetworkActionAddSubnetRequest) error {
		if req.VSwitchID != 0 {
			return notImplemented("a subnet of type vswitch")
		}
		return n.addSubnet(req.Type, req.IPRange, req.NetworkZone)
	})
	networkAction(a, "delete_subnet", a.deleteSubnet)
	networkAction(a, "add_route", func(n *network, req schema.NetworkActionAddRouteRequest) error {
		return n.addRoute(req.Destination, req.Gateway)
	})
	networkAction(a, "delete_route", func(n *network, req schema.NetworkActionDeleteRouteRequest) error {
		i := slices.IndexFunc(n.Routes, func(r route) bool {
			return r.Destination.String() == req.Destination && r.Gateway.String() == req.Gateway
		})
		if i < 0 {
			return errorf(hcloud.ErrorCodeNotFound, "route %s via %s not found in network '%s'", req.Destination, req.Gateway, n.Name)
		}
		n.Routes = slices.Delete(n.Routes, i, i+1)
		return nil
	})
	networkAction(a, "change_protection", func(n *network, req schema.NetworkActionChangeProtectionRequest) error {
		if req.Delete != nil {
			n.ProtectDelete = *req.Delete
		}
		return nil
	})
	networkAction(a, "change_ip_range", a.changeIPRange)
}

// networkAction registers an action of networks. change checks the request and applies it to the state; when it returns
// an error, it has changed nothing.
func networkAction[Req any](a *API, command string, change func(*network, Req) error) {
	a.route("POST /networks/{id}/actions/"+command, func(c *call) (reply, error) {
		var req Req
		n, err := a.changeableNetwork(c)
		if err == nil {
			err = decode(c, &req)
		}
		if err != nil {
			return reply{}, err
		}
		was := n.IPRange
		if err := change(n, req); err != nil {
			return reply{}, err
		}
		act := a.start(command, onNetwork(n.ID))
		if n.IPRange != was {
			act.Was = was
		}
		return created(schema.ActionGetResponse{Action: act.wire()})
	})
}

func (a *API) deleteSubnet(n *network, req schema.NetworkActionDeleteSubnetRequest) error {
	i := slices.IndexFunc(n.Subnets, func(s subnet) bool { return s.IPRange.String() == req.IPRange })
	if i < 0 {
		return errorf(hcloud.ErrorCodeNotFound, "subnet %s not found in network '%s'", req.IPRange, n.Name)
	}
	for _, s := range a.state.Servers.All() {
		if p := s.attachment(n.ID); p != nil && n.Subnets[i].IPRange.Contains(p.IP) {
			// The provider recognises these words and waits for the servers to go.
			return errorf(hcloud.ErrorCodeServiceError, "cannot remove subnet because servers are attached to it, network has attached resources")
		}
	}
	n.Subnets = slices.Delete(n.Subnets, i, i+1)
	return nil
}

func (a *API) changeIPRange(n *network, req schema.NetworkActionChangeIPRangeRequest) error {
	p, err := parseRange(req.IPRange)
	if err != nil {
		return err
	}
	if p.Addr() != n.IPRange.Addr() || p.Bits() >= n.IPRange.Bits() {
		return invalid("ip_range", "%s can only be extended at its end, got %q", n.IPRange, req.IPRange)
	}
	for _, s := range a.state.Servers.All() {
		if s.attachment(n.ID) != nil {
			return notImplemented("extending a network that servers are attached to")
		}
	}
	n.IPRange = p
	return nil
}

func (a *API) remakeNetwork(ctx context.Context, act action) error {
	ipRange, err := func() (netip.Prefix, error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		n, err := a.networks().get(act.Target.ID)
		if err != nil {
			return netip.Prefix{}, err
		}
		return n.IPRange, nil
	}()
	if err != nil {
		return err
	}
	if err := a.Runtime.DeleteNetwork(ctx, act.Target.ID); err != nil && !errors.Is(err, machine.ErrNotFound) {
		return err
	}
	err = a.Runtime.CreateNetwork(ctx, act.Target.ID, ipRange)
	if err != nil {
		err = errors.Join(err, a.Runtime.CreateNetwork(ctx, act.Target.ID, act.Was)) // the state goes back to it too
	}
	return err
}
