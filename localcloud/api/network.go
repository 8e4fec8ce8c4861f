package api

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/hetznercloud/hcloud-go/v2/hcloud/schema"

	"hashistack/localcloud/machine"
	"hashistack/localcloud/store"
)

const (
	maxSubnets = 50
	maxRoutes  = 100
)

type network struct {
	store.Meta
	IPRange       netip.Prefix `json:"ip_range"`
	Subnets       []subnet     `json:"subnets,omitempty"`
	Routes        []route      `json:"routes,omitempty"`
	ExposeRoutes  bool         `json:"expose_routes,omitempty"`
	ProtectDelete bool         `json:"protect_delete,omitempty"`
	// Changing is set while the runtime creates or deletes the network. Hetzner has no action for either, so nothing
	// else records it.
	Changing bool `json:"changing,omitempty"`
}

type subnet struct {
	Type    string       `json:"type"`
	IPRange netip.Prefix `json:"ip_range"`
	Zone    string       `json:"zone"`
}

type route struct {
	Destination netip.Prefix `json:"destination"`
	Gateway     netip.Addr   `json:"gateway"`
}

// gateway is the first address of a network; Hetzner's router answers there.
func (n *network) gateway() netip.Addr { return n.IPRange.Addr().Next() }

func (a *API) wireNetwork(n *network) schema.Network {
	w := schema.Network{
		ID: n.ID, Name: n.Name, Created: n.Created, IPRange: n.IPRange.String(), Labels: wireLabels(&n.Meta),
		Subnets: []schema.NetworkSubnet{}, Routes: []schema.NetworkRoute{}, Servers: []int64{}, LoadBalancers: []int64{},
		Protection: schema.NetworkProtection{Delete: n.ProtectDelete}, ExposeRoutesToVSwitch: n.ExposeRoutes,
	}
	for _, s := range n.Subnets {
		w.Subnets = append(w.Subnets, schema.NetworkSubnet{
			Type: s.Type, IPRange: s.IPRange.String(), NetworkZone: s.Zone, Gateway: n.gateway().String(),
		})
	}
	for _, r := range n.Routes {
		w.Routes = append(w.Routes, schema.NetworkRoute{Destination: r.Destination.String(), Gateway: r.Gateway.String()})
	}
	for _, s := range a.state.Servers.All() {
		if s.attachment(n.ID) != nil {
			w.Servers = append(w.Servers, s.ID)
		}
	}
	return w
}

func (a *API) networks() *collection[*network, schema.Network] {
	return &collection[*network, schema.Network]{
		singular: "network", plural: "networks", table: &a.state.Networks, wire: a.wireNetwork, sorts: sortsByNameAndAge[*network](),
	}
}

func (a *API) networkRoutes() {
	networks := a.networks()
	networks.routes(a)
	a.route("POST /networks", a.createNetwork)
	a.route("PUT /networks/{id}", func(c *call) (reply, error) {
		var req schema.NetworkUpdateRequest
		n, err := a.changeableNetwork(c)
		if err == nil {
			err = decode(c, &req)
		}
		if err == nil {
			err = networks.update(n, req.Name, req.Labels)
		}
		if err != nil {
			return reply{}, err
		}
		if req.ExposeRoutesToVSwitch != nil {
			n.ExposeRoutes = *req.ExposeRoutesToVSwitch
		}
		return ok(schema.NetworkUpdateResponse{Network: a.wireNetwork(n)})
	})
	a.route("DELETE /networks/{id}", a.deleteNetwork)
	a.networkActionRoutes()
}

// changeableNetwork finds the network of a call. It refuses while another change of that network is under way.
func (a *API) changeableNetwork(c *call) (*network, error) {
	n, err := a.networks().find(c)
	if err != nil {
		return nil, err
	}
	if n.Changing || a.busy(onNetwork(n.ID)) != nil {
		return nil, errorf(hcloud.ErrorCodeConflict, "network with ID '%d' is being changed, please retry", n.ID)
	}
	return n, nil
}

func (a *API) createNetwork(c *call) (reply, error) {
	var req schema.NetworkCreateRequest
	if err := decode(c, &req); err != nil {
		return reply{}, err
	}
	ipRange, err := parseRange(req.IPRange)
	if err != nil {
		return reply{}, err
	}
	if a.state.Networks.Len() >= a.Limits.Networks {
		return reply{}, limitExceeded("network_limit", a.Limits.Networks)
	}
	n := &network{IPRange: ipRange, ExposeRoutes: req.ExposeRoutesToVSwitch, Changing: true}
	for _, s := range req.Subnets {
		if err := n.addSubnet(s.Type, s.IPRange, s.NetworkZone); err != nil {
			return reply{}, err
		}
	}
	for _, r := range req.Routes {
		if err := n.addRoute(r.Destination, r.Gateway); err != nil {
			return reply{}, err
		}
	}
	if n.Meta, err = a.networks().newMeta(a, req.Name, req.Labels); err != nil {
		return reply{}, err
	}
	a.state.Networks.Add(n)
	// As at Hetzner, a creation that has begun is finished even if the client hangs up.
	a.outside(func() { err = a.Runtime.CreateNetwork(a.ctx, n.ID, n.IPRange) })
	if err != nil {
		a.state.Networks.Remove(n.ID)
		return reply{}, errorf(hcloud.ErrorCodeServiceError, "create network %s: %v", n.IPRange, err)
	}
	n.Changing = false
	return created(schema.NetworkCreateResponse{Network: a.wireNetwork(n)})
}

// deleteNetwork detaches what is attached, as Hetzner does.
func (a *API) deleteNetwork(c *call) (reply, error) {
	n, err := a.changeableNetwork(c)
	if err != nil {
		return reply{}, err
	}
	if n.ProtectDelete {
		return reply{}, errorf(hcloud.ErrorCodeProtected, "network with ID '%d' is protected against deletion", n.ID)
	}
	var attached []*server
	for _, s := range a.state.Servers.All() {
		if s.attachment(n.ID) == nil {
			continue
		}
		if err := a.unlocked(s); err != nil {
			return reply{}, err
		}
		attached = append(attached, s)
	}
	n.Changing = true
	var detached []*server
	a.outside(func() {
		for _, s := range attached {
			if e := a.Runtime.Detach(a.ctx, s.ID, n.ID); e != nil && !errors.Is(e, machine.ErrNotFound) {
				err = errors.Join(err, e)
				continue
			}
			detached = append(detached, s)
		}
		if err == nil {
			err = a.Runtime.DeleteNetwork(a.ctx, n.ID)
		}
	})
	n.Changing = false
	for _, s := range detached { // also when the rest failed: they have left the network
		s.detach(n.ID)
	}
	if err != nil {
		err = errorf(hcloud.ErrorCodeServiceError, "delete network with ID '%d': %v", n.ID, err)
		return reply{}, errors.Join(err, a.save())
	}
	a.state.Networks.Remove(n.ID)
	return noContent()
}

// endNetwork removes a network whose creation or deletion was interrupted. Nobody wants it: its creation was never
// confirmed, or its deletion was asked for.
func (a *API) endNetwork(n *network) error {
	for _, s := range a.state.Servers.All() {
		if s.attachment(n.ID) == nil {
			continue
		}
		if err := a.Runtime.Detach(a.ctx, s.ID, n.ID); err != nil && !errors.Is(err, machine.ErrNotFound) {
			return fmt.Errorf("detach server %s from network %s: %w", s.Name, n.Name, err)
		}
		s.detach(n.ID)
	}
	if err := a.Runtime.DeleteNetwork(a.ctx, n.ID); err != nil && !errors.Is(err, machine.ErrNotFound) {
		return fmt.Errorf("delete network %s: %w", n.Name, err)
	}
	a.state.Networks.Remove(n.ID)
	return nil
}

// private are the ranges of RFC 1918, the only ones networks may use.
var private = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
}

// publicGateway is where Hetzner's machines send their public traffic; nothing private may claim it.
var publicGateway = netip.MustParseAddr("172.31.1.1")

func isPrivate(p netip.Prefix) bool {
	return slices.ContainsFunc(private, func(r netip.Prefix) bool { return r.Bits() <= p.Bits() && r.Contains(p.Addr()) })
}

func parsePrefix(field, text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil || !p.Addr().Is4() {
		return p, invalid(field, "must be an IPv4 network in CIDR notation, got %q", text)
	}
	if p != p.Masked() {
		return p, invalid(field, "host bits must be zero, got %q, did you mean %q?", text, p.Masked())
	}
	return p, nil
}

func parseRange(text string) (netip.Prefix, error) {
	p, err := parsePrefix("ip_range", text)
	if err != nil {
		return p, err
	}
	if !isPrivate(p) || p.Bits() > 24 {
		return p, invalid("ip_range", "must be at least a /24 within the private ranges of RFC 1918, got %q", text)
	}
	return p, nil
}

// addSubnet checks a subnet and adds it. An empty range means the first /24 that is free.
func (n *network) addSubnet(kind, text, zone string) error {
	switch {
	case kind == "vswitch":
		return notImplemented("a subnet of type vswitch")
	case kind != "cloud" && kind != "server":
		return invalid("type", "must be cloud, server or vswitch, got %q", kind)
	case !zoneExists(zone):
		return invalid("network_zone", "network zone %q does not exist", zone)
	case len(n.Subnets) >= maxSubnets:
		return limitExceeded("subnet_limit", maxSubnets)
	}
	p, err := n.subnetRange(text)
	if err != nil {
		return err
	}
	n.Subnets = append(n.Subnets, subnet{Type: kind, IPRange: p, Zone: zone})
	return nil
}

func (n *network) subnetRange(text string) (netip.Prefix, error) {
	if text == "" {
		for p := netip.PrefixFrom(n.IPRange.Addr(), 24); n.IPRange.Contains(p.Addr()); p = netip.PrefixFrom(lastAddr(p).Next(), 24) {
			if n.conflicting(p) == "" {
				return p, nil
			}
		}
		return netip.Prefix{}, invalid("ip_range", "network %s has no free /24 left", n.IPRange)
	}
	p, err := parsePrefix("ip_range", text)
	if err != nil {
		return p, err
	}
	if p.Bits() > 30 || p.Bits() < n.IPRange.Bits() || !n.IPRange.Contains(p.Addr()) {
		return p, invalid("ip_range", "must be at least a /30 within %s, got %q", n.IPRange, text)
	}
	if with := n.conflicting(p); with != "" {
		return p, invalid("ip_range", "%s overlaps with %s", p, with)
	}
	return p, nil
}

// conflicting names the subnet or route that overlaps with p.
func (n *network) conflicting(p netip.Prefix) string {
	for _, s := range n.Subnets {
		if s.IPRange.Overlaps(p) {
			return "subnet " + s.IPRange.String()
		}
	}
	for _, r := range n.Routes {
		if r.Destination.Bits() > 0 && r.Destination.Overlaps(p) {
			return "route " + r.Destination.String()
		}
	}
	return ""
}

func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	host := uint32(1)<<(32-p.Bits()) - 1
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])|host)
	return netip.AddrFrom4(b)
}

func (n *network) addRoute(destination, gateway string) error {
	p, err := parsePrefix("destination", destination)
	if err != nil {
		return err
	}
	if p.Bits() > 0 && !isPrivate(p) {
		return invalid("destination", "must be 0.0.0.0/0 or within the private ranges of RFC 1918, got %q", destination)
	}
	if p.Bits() > 0 && p.Contains(publicGateway) {
		return invalid("destination", "%s must not contain %s, the gateway of the public network", p, publicGateway)
	}
	for _, r := range n.Routes {
		if r.Destination == p || (p.Bits() > 0 && r.Destination.Bits() > 0 && r.Destination.Overlaps(p)) {
			return invalid("destination", "%s overlaps with route %s", p, r.Destination)
		}
	}
	if with := n.conflicting(p); p.Bits() > 0 && with != "" {
		return invalid("destination", "%s overlaps with %s", p, with)
	}
	via, err := netip.ParseAddr(gateway)
	if err != nil || !n.IPRange.Contains(via) || via == n.gateway() || via == publicGateway {
		return invalid("gateway", "must be an address within %s other than %s, got %q", n.IPRange, n.gateway(), gateway)
	}
	if len(n.Routes) >= maxRoutes {
		return limitExceeded("route_limit", maxRoutes)
	}
	n.Routes = append(n.Routes, route{Destination: p, Gateway: via})
	return nil
}
