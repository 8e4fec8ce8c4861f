package api

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/hetznercloud/hcloud-go/v2/hcloud/schema"

	"hashistack/localcloud/fault"
)

const (
	maxUserData        = 32 << 10
	maxServerNetworks  = 3
	maxServerFirewalls = 5
)

// serverRequest is schema.ServerCreateRequest with SSH keys by ID or name, as the API takes them.
type serverRequest struct {
	schema.ServerCreateRequest
	SSHKeys []schema.IDOrName `json:"ssh_keys"`
}

func (a *API) createServer(c *call) (reply, error) {
	var req serverRequest
	if err := decode(c, &req); err != nil {
		return reply{}, err
	}
	s, err := a.newServer(req)
	if err != nil {
		return reply{}, err
	}
	if err := a.joinServer(s, req); err != nil {
		return reply{}, err
	}
	s.BootHangs = a.Faults.Strikes(fault.BootHangs, s.Name)
	answer := struct {
		schema.ServerCreateResponse
		Server wireServer `json:"server"`
	}{}
	answer.NextActions = []schema.Action{}
	answer.Action = a.start("create_server", onServer(s.ID)).wire()
	if req.StartAfterCreate == nil || *req.StartAfterCreate {
		answer.NextActions = append(answer.NextActions, a.start("start_server", onServer(s.ID)).wire())
	}
	answer.Server = a.wireServer(s)
	return created(answer)
}

// newServer makes the record of a server, and checks what concerns this server alone.
func (a *API) newServer(req serverRequest) (*server, error) {
	if err := validHostName(req.Name); err != nil {
		return nil, err
	}
	kind, err := pick(serverTypes, "server_type", req.ServerType)
	if err != nil {
		return nil, err
	}
	image, err := pick(images, "image", req.Image)
	if err != nil {
		return nil, err
	}
	location, err := a.locationFor(req)
	if err != nil {
		return nil, err
	}
	switch {
	case len(req.UserData) > maxUserData:
		return nil, invalid("user_data", "must have at most %d bytes, got %d", maxUserData, len(req.UserData))
	case len(req.Volumes) > 0 || deref(req.Automount):
		return nil, notImplemented("attaching volumes")
	case len(req.Networks) > maxServerNetworks:
		return nil, invalid("networks", "a server can be attached to at most %d networks, got %d", maxServerNetworks, len(req.Networks))
	case len(req.Firewalls) > maxServerFirewalls:
		return nil, invalid("firewalls", "a server can have at most %d firewalls, got %d", maxServerFirewalls, len(req.Firewalls))
	case a.state.Servers.Len() >= a.Limits.Servers:
		return nil, limitExceeded("server_limit", a.Limits.Servers)
	}
	keys, err := a.publicKeys(req.SSHKeys)
	if err != nil {
		return nil, err
	}
	if req.PlacementGroup != 0 {
		if _, err := a.room(req.PlacementGroup); err != nil {
			return nil, err
		}
	}
	if err := a.checkPublicNet(req, location.ID); err != nil {
		return nil, err
	}
	if a.Faults.Strikes(fault.NoCapacity, req.Name) {
		return nil, errorf(hcloud.ErrorCodeResourceUnavailable, "server type %s is currently unavailable in location %s", kind.Name, location.Name)
	}
	meta, err := a.servers().newMeta(a, req.Name, req.Labels)
	if err != nil {
		return nil, err
	}
	return &server{
		Meta: meta, Power: string(hcloud.ServerStatusOff), Type: kind.ID, Image: image.ID, Location: location.ID,
		UserData: req.UserData, SSHKeys: keys, PlacementGroup: req.PlacementGroup,
	}, nil
}

// locationFor returns the location that was asked for, else that of the primary IPs, else Falkenstein.
func (a *API) locationFor(req serverRequest) (schema.Location, error) {
	if req.Location != "" {
		return pick(locations, "location", parseRef(req.Location))
	}
	if req.PublicNet != nil {
		for _, id := range []int64{req.PublicNet.IPv4ID, req.PublicNet.IPv6ID} {
			if ip, found := a.state.PrimaryIPs.Get(id); found {
				return pick(locations, "location", schema.IDOrName{ID: ip.Location})
			}
		}
	}
	return pick(locations, "location", schema.IDOrName{Name: "fsn1"})
}

func (a *API) publicKeys(refs []schema.IDOrName) ([]string, error) {
	var keys []string
	for _, ref := range refs {
		key, found := a.state.SSHKeys.Find(func(k *sshKey) bool { return k.ID == ref.ID || (ref.ID == 0 && k.Name == ref.Name) })
		if !found {
			return nil, invalid("ssh_keys", "SSH key %v does not exist", ref)
		}
		keys = append(keys, key.PublicKey)
	}
	return keys, nil
}

// checkPublicNet checks the primary IPs and firewalls a server is to have.
func (a *API) checkPublicNet(req serverRequest, location int64) error {
	want4, want6 := wantsPublic(req)
	if net := req.PublicNet; net != nil {
		for version, id := range map[ipVersion]int64{ipv4: net.IPv4ID, ipv6: net.IPv6ID} {
			if id == 0 {
				continue
			}
			ip, err := a.primaryIPs().get(id)
			if err != nil {
				return err
			}
			switch {
			case version == ipv4 && !want4 || version == ipv6 && !want6:
				return invalid("public_net", "%s must be enabled for the primary IP with ID '%d' to be used", version, id)
			case ip.Type != version:
				return errorf(hcloud.ErrorCodePrimaryIPVersionMismatch, "primary IP with ID '%d' is %s, not %s", id, ip.Type, version)
			case ip.Location != location:
				return errorf(hcloud.ErrorCodePrimaryIPDatacenterMismatch, "primary IP with ID '%d' is in another location than the server", id)
			case ip.Assignee != 0:
				return errorf(hcloud.ErrorCodePrimaryIPAssigned, "primary IP with ID '%d' is already assigned to the server with ID '%d'", id, ip.Assignee)
			}
			if err := a.settled(ip); err != nil {
				return err
			}
		}
	}
	if !want4 && !want6 {
		if len(req.Firewalls) > 0 {
			return errorf(hcloud.ErrorCodePrivateNetOnlyServer, "a firewall needs a server with a public interface, server '%s' has none", req.Name)
		}
		if len(req.Networks) == 0 && deref(req.StartAfterCreate) {
			return invalid("public_net", "a server without public network must be attached to a network to be started")
		}
	}
	for _, f := range req.Firewalls {
		if _, err := a.firewalls().get(f.Firewall); err != nil {
			return err
		}
	}
	return nil
}

func wantsPublic(req serverRequest) (want4, want6 bool) {
	if req.PublicNet == nil {
		return true, true
	}
	return req.PublicNet.EnableIPv4, req.PublicNet.EnableIPv6
}

// joinServer puts a new server into the state, with its addresses and firewalls. When it fails, the state is as before.
func (a *API) joinServer(s *server, req serverRequest) error {
	for _, id := range req.Networks {
		if err := a.reserve(s, id, "", ""); err != nil {
			return err
		}
	}
	addresses, err := a.publicAddresses(s, req)
	if err != nil {
		return err
	}
	a.state.Servers.Add(s)
	for _, ip := range addresses {
		ip.Assignee = s.ID
	}
	for _, f := range req.Firewalls {
		fw, _ := a.state.Firewalls.Get(f.Firewall)
		if !slices.Contains(fw.Servers, s.ID) {
			fw.Servers = append(fw.Servers, s.ID)
		}
	}
	return nil
}

// publicAddresses returns the primary IPs for a new server: those that the request names, and new ones for the rest.
// When it fails, the new ones are gone again, and those of the caller are left alone.
func (a *API) publicAddresses(s *server, req serverRequest) (all []*primaryIP, err error) {
	want4, want6 := wantsPublic(req)
	wants := map[ipVersion]bool{ipv4: want4, ipv6: want6}
	given := map[ipVersion]int64{}
	if req.PublicNet != nil {
		given = map[ipVersion]int64{ipv4: req.PublicNet.IPv4ID, ipv6: req.PublicNet.IPv6ID}
	}
	var made []*primaryIP
	for _, version := range []ipVersion{ipv4, ipv6} {
		if !wants[version] {
			continue
		}
		ip, found := a.state.PrimaryIPs.Get(given[version])
		if !found {
			if ip, err = a.allocate(version, s.Location); err != nil {
				for _, ip := range made {
					a.state.PrimaryIPs.Remove(ip.ID)
				}
				return nil, err
			}
			ip.Name, ip.AutoDelete = fmt.Sprintf("primary_ip-%d", ip.ID), true
			made = append(made, ip)
		}
		all = append(all, ip)
	}
	return all, nil
}

// parseRef reads a reference given as text: an ID or a name.
func parseRef(text string) schema.IDOrName {
	var ref schema.IDOrName
	if _, err := fmt.Sscanf(text, "%d", &ref.ID); err != nil || fmt.Sprint(ref.ID) != text {
		return schema.IDOrName{Name: text}
	}
	return ref
}

// freeAddress picks the lowest free address in a network's subnets. within, if set, is the only subnet to look in.
func (a *API) freeAddress(n *network, within string) (netip.Addr, error) {
	for _, sub := range n.Subnets {
		if within != "" && sub.IPRange.String() != within {
			continue
		}
		for ip := sub.IPRange.Addr().Next(); ip.Less(lastAddr(sub.IPRange)); ip = ip.Next() {
			if ip != n.gateway() && ip != publicGateway && a.holder(n.ID, ip) == nil {
				return ip, nil
			}
		}
	}
	if within != "" {
		return netip.Addr{}, errorf(hcloud.ErrorCodeNoSubnetAvailable, "network '%s' has no free address in subnet %s", n.Name, within)
	}
	return netip.Addr{}, errorf(hcloud.ErrorCodeNoSubnetAvailable, "network '%s' has no subnet with a free address", n.Name)
}
