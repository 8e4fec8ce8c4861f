package api

import (
	"context"
	"net/netip"
	"slices"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/hetznercloud/hcloud-go/v2/hcloud/schema"

	"hashistack/localcloud/machine"
)

func (a *API) serverNetworkRoutes() {
	a.route("POST /servers/{id}/actions/attach_to_network", a.attachToNetwork)
	a.route("POST /servers/{id}/actions/detach_from_network", a.detachFromNetwork)
	a.works["attach_to_network"] = work{
		do: a.attach,
		done: func(act *action) {
			if s, found := a.state.Servers.Get(act.Target.ID); found {
				if p := s.attachment(act.Other); p != nil {
					p.Ready = true
				}
			}
		},
		failed: func(act *action) {
			if s, found := a.state.Servers.Get(act.Target.ID); found {
				s.detach(act.Other)
			}
		},
	}
	a.works["detach_from_network"] = work{
		do: a.detach,
		done: func(act *action) {
			if s, found := a.state.Servers.Get(act.Target.ID); found {
				s.detach(act.Other)
			}
		},
	}
}

// place is the attachment that an attach or detach action works on.
func (a *API) place(act action) (machine.Attachment, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, err := a.servers().get(act.Target.ID)
	if err != nil {
		return machine.Attachment{}, err
	}
	p := s.attachment(act.Other)
	if p == nil {
		return machine.Attachment{}, notFound("network", act.Other)
	}
	return machine.Attachment{Network: p.Network, Address: p.IP}, nil
}

func (a *API) attach(ctx context.Context, act action) error {
	to, err := a.place(act)
	if err != nil {
		return err
	}
	if act.resumed {
		// How far the first attempt got is not known. Detaching makes sure that the machine can be attached.
		_ = a.Runtime.Detach(ctx, act.Target.ID, to.Network)
	}
	return a.Runtime.Attach(ctx, act.Target.ID, to)
}

func (a *API) detach(ctx context.Context, act action) error {
	from, err := a.place(act)
	if err != nil {
		return err
	}
	if act.resumed {
		_ = a.Runtime.Attach(ctx, act.Target.ID, from) // As in attach: make sure that the machine can be detached.
	}
	return a.Runtime.Detach(ctx, act.Target.ID, from.Network)
}

// holder is the server that has an address of a network.
func (a *API) holder(networkID int64, ip netip.Addr) *server {
	for _, s := range a.state.Servers.All() {
		if p := s.attachment(networkID); p != nil && p.IP == ip {
			return s
		}
	}
	return nil
}

// reserve gives a server an address in a network: the address asked for, or a free one. within, if set, is the subnet to
// take it from.
func (a *API) reserve(s *server, networkID int64, address, within string) error {
	n, err := a.networks().get(networkID)
	if err != nil {
		return err
	}
	switch {
	case n.Changing || a.busy(onNetwork(n.ID)) != nil:
		return errorf(hcloud.ErrorCodeConflict, "network with ID '%d' is being changed, please retry", n.ID)
	case s.attachment(n.ID) != nil:
		return errorf(hcloud.ErrorCodeServerAlreadyAttached, "server '%s' is already attached to network '%s'", s.Name, n.Name)
	case len(s.Networks) >= maxServerNetworks:
		return limitExceeded("server_network_limit", maxServerNetworks)
	case len(n.Subnets) == 0:
		return errorf(hcloud.ErrorCodeNoSubnetAvailable, "network '%s' has no subnet", n.Name)
	}
	for _, p := range s.Networks {
		if other, found := a.state.Networks.Get(p.Network); found && other.IPRange.Overlaps(n.IPRange) {
			return errorf(hcloud.ErrorCodeNetworksOverlap, "network '%s' overlaps with network '%s' that server '%s' is attached to", n.Name, other.Name, s.Name)
		}
	}
	if within != "" && !slices.ContainsFunc(n.Subnets, func(sub subnet) bool { return sub.IPRange.String() == within }) {
		return invalid("ip_range", "network '%s' has no subnet %s", n.Name, within)
	}
	ip, err := a.addressIn(n, address, within)
	if err != nil {
		return err
	}
	s.Networks = append(s.Networks, attachment{Network: n.ID, IP: ip})
	return nil
}

func (a *API) addressIn(n *network, address, within string) (netip.Addr, error) {
	if address == "" {
		return a.freeAddress(n, within)
	}
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return ip, invalid("ip", "must be an IPv4 address, got %q", address)
	}
	i := slices.IndexFunc(n.Subnets, func(sub subnet) bool {
		return sub.IPRange.Contains(ip) && (within == "" || sub.IPRange.String() == within)
	})
	if i < 0 {
		return ip, invalid("ip", "%s is not in a subnet of network '%s'", ip, n.Name)
	}
	if sub := n.Subnets[i].IPRange; ip == sub.Addr() || ip == lastAddr(sub) || ip == n.gateway() || ip == publicGateway {
		return ip, errorf(hcloud.ErrorCodeIPNotAvailable, "IP %s of network '%s' is reserved", ip, n.Name)
	}
	if other := a.holder(n.ID, ip); other != nil {
		return ip, errorf(hcloud.ErrorCodeIPNotAvailable, "IP %s of network '%s' belongs to server '%s'", ip, n.Name, other.Name)
	}
	return ip, nil
}

func (a *API) attachToNetwork(c *call) (reply, error) {
	var req schema.ServerActionAttachToNetworkRequest
	s, err := a.changeableServer(c)
	if err == nil {
		err = decode(c, &req)
	}
	if err == nil && len(req.AliasIPs) > 0 {
		err = notImplemented("alias IPs")
	}
	if err == nil {
		err = a.reserve(s, req.Network, deref(req.IP), deref(req.IPRange))
	}
	if err != nil {
		return reply{}, err
	}
	act := a.start("attach_to_network", onServer(s.ID), onNetwork(req.Network))
	return created(schema.ServerActionAttachToNetworkResponse{Action: act.wire()})
}

func (a *API) detachFromNetwork(c *call) (reply, error) {
	var req schema.ServerActionDetachFromNetworkRequest
	s, err := a.changeableServer(c)
	if err == nil {
		err = decode(c, &req)
	}
	if err != nil {
		return reply{}, err
	}
	if s.attachment(req.Network) == nil {
		return reply{}, errorf(hcloud.ErrorCodeNotFound, "server '%s' is not attached to network with ID '%d'", s.Name, req.Network)
	}
	act := a.start("detach_from_network", onServer(s.ID), onNetwork(req.Network))
	return created(schema.ServerActionDetachFromNetworkResponse{Action: act.wire()})
}
