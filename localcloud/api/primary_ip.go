package api

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/hetznercloud/hcloud-go/v2/hcloud/schema"

	"hashistack/localcloud/store"
)

type ipVersion string

const (
	ipv4 ipVersion = "ipv4"
	ipv6 ipVersion = "ipv6"
)

// documentationPrefix is where IPv6 networks are taken from: RFC 3849 keeps it free of real hosts, and machines have no
// IPv6 here.
var documentationPrefix = netip.MustParsePrefix("2001:db8::/32")

type primaryIP struct {
	store.Meta
	Type ipVersion `json:"type"`
	// IP is an address, or a /64 network for IPv6.
	IP            string `json:"ip"`
	Location      int64  `json:"location"`
	Assignee      int64  `json:"assignee,omitempty"`
	AutoDelete    bool   `json:"auto_delete,omitempty"`
	ProtectDelete bool   `json:"protect_delete,omitempty"`
}

// dnsPtr is a name of the form that Hetzner gives new addresses.
func (ip *primaryIP) dnsPtr() string {
	octets := strings.Split(ip.IP, ".")
	if len(octets) != 4 {
		return ""
	}
	return fmt.Sprintf("static.%s.%s.%s.%s.clients.your-server.de", octets[3], octets[2], octets[1], octets[0])
}

func (ip *primaryIP) wire() schema.PrimaryIP {
	location, _ := locations.table.Get(ip.Location)
	w := schema.PrimaryIP{
		ID: ip.ID, IP: ip.IP, Labels: wireLabels(&ip.Meta), Name: ip.Name, Type: string(ip.Type), AssigneeType: "server",
		Protection: schema.PrimaryIPProtection{Delete: ip.ProtectDelete}, DNSPtr: []schema.PrimaryIPDNSPTR{},
		AutoDelete: ip.AutoDelete, Created: ip.Created, Location: location.item,
	}
	if name := ip.dnsPtr(); name != "" {
		w.DNSPtr = append(w.DNSPtr, schema.PrimaryIPDNSPTR{DNSPtr: name, IP: ip.IP})
	}
	if ip.Assignee != 0 {
		w.AssigneeID = &ip.Assignee
	}
	return w
}

func (a *API) primaryIPOf(s *server, version ipVersion) *primaryIP {
	ip, _ := a.state.PrimaryIPs.Find(func(ip *primaryIP) bool { return ip.Assignee == s.ID && ip.Type == version })
	return ip
}

func (a *API) primaryIPs() *collection[*primaryIP, schema.PrimaryIP] {
	return &collection[*primaryIP, schema.PrimaryIP]{
		singular: "primary_ip", plural: "primary_ips", table: &a.state.PrimaryIPs, wire: (*primaryIP).wire,
		filters: map[string]func(*primaryIP, string) bool{
			"ip": func(ip *primaryIP, v string) bool { return ip.IP == v },
		},
		sorts: map[string]func(x, y *primaryIP) int{"created": byCreated[*primaryIP]},
	}
}

func (a *API) primaryIPRoutes() {
	a.primaryIPs().routes(a)
	a.route("POST /primary_ips", a.createPrimaryIP)
	a.route("PUT /primary_ips/{id}", a.updatePrimaryIP)
	a.route("DELETE /primary_ips/{id}", a.deletePrimaryIP)
	a.primaryIPActionRoutes()
}

// allocate makes a primary IP with a free address. Addresses are given out in turn: if one was used again at once, the
// peers of its former owner would still talk to it.
func (a *API) allocate(version ipVersion, location int64) (*primaryIP, error) {
	if a.state.PrimaryIPs.Len() >= a.Limits.PrimaryIPs {
		return nil, limitExceeded("primary_ip_limit", a.Limits.PrimaryIPs)
	}
	ip := &primaryIP{Type: version, Location: location}
	if version == ipv6 {
		a.state.LastIPv6++
		b := documentationPrefix.Addr().As16()
		binary.BigEndian.PutUint32(b[4:8], a.state.LastIPv6)
		ip.IP = netip.PrefixFrom(netip.AddrFrom16(b), 64).String()
	} else {
		addr, err := a.nextIPv4()
		if err != nil {
			return nil, err
		}
		ip.IP = addr.String()
	}
	ip.Meta = store.Meta{ID: a.state.nextID(), Created: time.Now().UTC().Truncate(time.Second)}
	a.state.PrimaryIPs.Add(ip)
	return ip, nil
}

func (a *API) nextIPv4() (netip.Addr, error) {
	gateway, broadcast := a.PublicRange.Masked().Addr().Next(), lastAddr(a.PublicRange.Masked())
	taken := map[string]bool{}
	for _, ip := range a.state.PrimaryIPs.All() {
		taken[ip.IP] = true
	}
	addr := a.state.LastIPv4
	for range len(taken) + 1 {
		addr = addr.Next()
		// Past the end of the range; or LastIPv4 is unset, or from another range than the current one.
		if !a.PublicRange.Contains(addr) || !gateway.Less(addr) || addr == broadcast {
			addr = gateway.Next()
		}
		if !taken[addr.String()] && addr.Less(broadcast) {
			a.state.LastIPv4 = addr
			return addr, nil
		}
	}
	return netip.Addr{}, errorf(hcloud.ErrorCodeResourceUnavailable, "no public address left in %s", a.PublicRange)
}

func (a *API) createPrimaryIP(c *call) (reply, error) {
	var req schema.PrimaryIPCreateRequest
	if err := decode(c, &req); err != nil {
		return reply{}, err
	}
	version := ipVersion(req.Type)
	switch {
	case version != ipv4 && version != ipv6:
		return reply{}, invalid("type", "must be ipv4 or ipv6, got %q", req.Type)
	case req.AssigneeType != "" && req.AssigneeType != "server":
		return reply{}, invalid("assignee_type", "must be server, got %q", req.AssigneeType)
	case req.AssigneeID != nil && req.Location != "":
		return reply{}, invalid("location", "must not be given together with assignee_id")
	}
	var assignee *server
	var location int64
	if req.AssigneeID != nil {
		var err error
		if assignee, err = a.assignable(*req.AssigneeID, version); err != nil {
			return reply{}, err
		}
		location = assignee.Location
	} else {
		where, err := pick(locations, "location", parseRef(req.Location))
		if err != nil {
			return reply{}, err
		}
		location = where.ID
	}
	meta, err := a.primaryIPs().newMeta(a, req.Name, req.Labels)
	if err != nil {
		return reply{}, err
	}
	ip, err := a.allocate(version, location)
	if err != nil {
		return reply{}, err
	}
	ip.Name, ip.Labels, ip.AutoDelete = meta.Name, meta.Labels, deref(req.AutoDelete)
	answer := schema.PrimaryIPCreateResponse{}
	if assignee != nil {
		answer.Action = ptr(a.startAssign("assign_primary_ip", ip, assignee).wire())
	}
	answer.PrimaryIP = ip.wire()
	return created(answer)
}

func (a *API) updatePrimaryIP(c *call) (reply, error) {
	var req schema.PrimaryIPUpdateRequest
	ip, err := a.primaryIPs().find(c)
	if err == nil {
		err = decode(c, &req)
	}
	if err == nil {
		err = a.primaryIPs().update(ip, req.Name, req.Labels)
	}
	if err != nil {
		return reply{}, err
	}
	if req.AutoDelete != nil {
		ip.AutoDelete = *req.AutoDelete
	}
	return ok(schema.PrimaryIPUpdateResponse{PrimaryIP: ip.wire()})
}

// deletePrimaryIP unassigns the address first if it is assigned. Its server must be off for that.
func (a *API) deletePrimaryIP(c *call) (reply, error) {
	ip, err := a.primaryIPs().find(c)
	if err != nil {
		return reply{}, err
	}
	if ip.ProtectDelete {
		return reply{}, errorf(hcloud.ErrorCodeProtected, "primary IP with ID '%d' is protected against deletion", ip.ID)
	}
	if err := a.settled(ip); err != nil {
		return reply{}, err
	}
	if s, found := a.state.Servers.Get(ip.Assignee); found {
		if err := a.readdressable(s); err != nil {
			return reply{}, err
		}
		ip.Assignee = 0
		a.start("unassign_primary_ip", onServer(s.ID), resource{"primary_ip", ip.ID})
	}
	a.state.PrimaryIPs.Remove(ip.ID)
	return noContent()
}
