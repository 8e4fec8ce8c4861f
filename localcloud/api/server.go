package api

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/hetznercloud/hcloud-go/v2/hcloud/schema"

	"hashistack/localcloud/machine"
	"hashistack/localcloud/store"
)

type server struct {
	store.Meta
	// Power is the state the machine was last seen in: running, off or unknown.
	Power string `json:"power"`
	Type  int64  `json:"type"`
	// Disk is how large the disk is, in GB, if it is not as large as the type's: the type was changed and the disk was not.
	Disk           int          `json:"disk,omitempty"`
	Image          int64        `json:"image"`
	Location       int64        `json:"location"`
	UserData       string       `json:"user_data,omitempty"`
	SSHKeys        []string     `json:"ssh_keys,omitempty"`
	Networks       []attachment `json:"networks,omitempty"`
	PlacementGroup int64        `json:"placement_group,omitempty"`
	ProtectDelete  bool         `json:"protect_delete,omitempty"`
	ProtectRebuild bool         `json:"protect_rebuild,omitempty"`
	// BootHangs is set for servers that a fault keeps from finishing their boot.
	BootHangs bool `json:"boot_hangs,omitempty"`
}

// attachment is a server's place in a network. It is reserved from the moment it is asked for.
type attachment struct {
	Network int64      `json:"network"`
	IP      netip.Addr `json:"ip"`
	// Ready is set when the machine has the address; only then answers show it.
	Ready bool `json:"ready"`
}

func (s *server) attachment(network int64) *attachment {
	for i := range s.Networks {
		if s.Networks[i].Network == network {
			return &s.Networks[i]
		}
	}
	return nil
}

func (s *server) detach(network int64) {
	s.Networks = slices.DeleteFunc(s.Networks, func(p attachment) bool { return p.Network == network })
}

func (s *server) disk(kind schema.ServerType) int {
	if s.Disk > 0 {
		return s.Disk
	}
	return kind.Disk
}

// wireServer is schema.Server with null where a server has no public address.
type wireServer struct {
	schema.Server
	PublicNet publicNet `json:"public_net"`
}

type publicNet struct {
	IPv4        *schema.ServerPublicNetIPv4 `json:"ipv4"`
	IPv6        *schema.ServerPublicNetIPv6 `json:"ipv6"`
	FloatingIPs []int64                     `json:"floating_ips"`
	Firewalls   []schema.ServerFirewall     `json:"firewalls"`
}

func (a *API) wireServer(s *server) wireServer {
	kind, _ := serverTypes.table.Get(s.Type)
	image, _ := images.table.Get(s.Image)
	location, _ := locations.table.Get(s.Location)
	w := wireServer{Server: schema.Server{
		ID: s.ID, Name: s.Name, Status: a.status(s), Created: s.Created, PrivateNet: []schema.ServerPrivateNet{},
		ServerType: kind.item, Image: &image.item, Location: location.item, PrimaryDiskSize: s.disk(kind.item),
		Locked: a.busy(onServer(s.ID)) != nil, Labels: wireLabels(&s.Meta), Volumes: []int64{}, LoadBalancers: []int64{},
		Protection: schema.ServerProtection{Delete: s.ProtectDelete, Rebuild: s.ProtectRebuild},
	}}
	for _, p := range s.Networks {
		if p.Ready {
			w.PrivateNet = append(w.PrivateNet, schema.ServerPrivateNet{
				Network: p.Network, IP: p.IP.String(), AliasIPs: []string{}, MACAddress: macAddress(s.ID, p.Network),
			})
		}
	}
	if group, found := a.state.PlacementGroups.Get(s.PlacementGroup); found {
		w.PlacementGroup = ptr(a.wirePlacementGroup(group))
	}
	w.PublicNet = publicNet{FloatingIPs: []int64{}, Firewalls: []schema.ServerFirewall{}}
	if ip := a.primaryIPOf(s, ipv4); ip != nil {
		w.PublicNet.IPv4 = &schema.ServerPublicNetIPv4{ID: ip.ID, IP: ip.IP, DNSPtr: ip.dnsPtr()}
	}
	if ip := a.primaryIPOf(s, ipv6); ip != nil {
		w.PublicNet.IPv6 = &schema.ServerPublicNetIPv6{ID: ip.ID, IP: ip.IP, DNSPtr: []schema.ServerPublicNetIPv6DNSPtr{}}
	}
	for _, f := range a.firewallsOf(s) {
		w.PublicNet.Firewalls = append(w.PublicNet.Firewalls, schema.ServerFirewall{ID: f.ID, Status: a.firewallStatus(s)})
	}
	return w
}

// macAddress is in the range Hetzner uses for private interfaces. It is the same at every read, as the provider
// expects, but it is not the one that the machine sees.
func macAddress(serverID, networkID int64) string {
	n := serverID*31 + networkID
	return fmt.Sprintf("86:00:00:%02x:%02x:%02x", n>>16&0xff, n>>8&0xff, n&0xff)
}

// status is the one that the oldest unfinished action gives the server, or else the state of its machine.
func (a *API) status(s *server) string {
	for _, act := range a.running(onServer(s.ID)) {
		if status := a.works[act.Command].status; status != "" {
			return status
		}
	}
	return s.Power
}

// observe asks the runtime for the state of machines, which change on their own when a guest powers off. It runs without
// the lock.
func (a *API) observe(ids ...int64) {
	powers := make([]string, len(ids))
	var wait sync.WaitGroup
	for i, id := range ids {
		wait.Go(func() { powers[i] = a.power(a.ctx, id) })
	}
	wait.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, id := range ids {
		if s, found := a.state.Servers.Get(id); found {
			s.Power = powers[i]
		}
	}
}

func (a *API) power(ctx context.Context, id int64) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	state, err := a.Runtime.State(ctx, id)
	switch {
	case errors.Is(err, machine.ErrNotFound):
		return string(hcloud.ServerStatusOff) // Its creation is under way, or failed.
	case err != nil:
		a.Log.Error("machine does not tell its state", "server", id, "error", err)
		return string(hcloud.ServerStatusUnknown)
	case state == machine.Running:
		return string(hcloud.ServerStatusRunning)
	}
	return string(hcloud.ServerStatusOff)
}

func (a *API) servers() *collection[*server, wireServer] {
	return &collection[*server, wireServer]{
		singular: "server", plural: "servers", table: &a.state.Servers, wire: a.wireServer, before: a.observe,
		filters: map[string]func(*server, string) bool{
			"status": func(s *server, status string) bool { return a.status(s) == status },
		},
		sorts: sortsByNameAndAge[*server](),
	}
}

func (a *API) serverRoutes() {
	a.servers().routes(a)
	a.route("POST /servers", a.createServer)
	a.route("PUT /servers/{id}", a.updateServer)
	a.route("DELETE /servers/{id}", a.deleteServer)
	a.serverWorks()
	a.serverActionRoutes()
	a.serverNetworkRoutes()
}

// unlocked returns the error `locked` while an action of the server is under way.
func (a *API) unlocked(s *server) error {
	if act := a.busy(onServer(s.ID)); act != nil {
		return errorf(hcloud.ErrorCodeLocked, "server with ID '%d' is locked: action %d (%s) is running", s.ID, act.ID, act.Command)
	}
	return nil
}

// changeableServer finds the server of a call and refuses when it is locked.
func (a *API) changeableServer(c *call) (*server, error) {
	s, err := a.servers().find(c)
	if err != nil {
		return nil, err
	}
	return s, a.unlocked(s)
}

// powered returns whether the machine of a server runs, asked now.
func (a *API) powered(s *server) bool {
	a.outside(func() { a.observe(s.ID) })
	return s.Power != string(hcloud.ServerStatusOff)
}

func (a *API) mustBeOff(s *server) error {
	if a.powered(s) {
		return errorf(hcloud.ErrorCodeServerNotStopped, "server with ID '%d' must be powered off first", s.ID)
	}
	return a.unlocked(s) // Asked last: powered released the lock, so an action may have started meanwhile.
}

// hostName is a host name by RFC 1123.
var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$`)

func validHostName(name string) error {
	if len(name) > 253 || !hostName.MatchString(name) {
		return invalid("name", "must be a host name by RFC 1123: letters, digits, dashes and periods, got %q", name)
	}
	return nil
}

func (a *API) updateServer(c *call) (reply, error) {
	var req schema.ServerUpdateRequest
	s, err := a.servers().find(c)
	if err == nil {
		err = decode(c, &req)
	}
	if err == nil && req.Name != "" {
		err = validHostName(req.Name)
	}
	if err != nil {
		return reply{}, err
	}
	before := a.firewallsOf(s)
	if err := a.servers().update(s, req.Name, req.Labels); err != nil {
		return reply{}, err
	}
	// Firewalls may select the server by the labels it had or has now.
	if after := a.firewallsOf(s); !slices.Equal(before, after) {
		a.start("apply_firewall", onServer(s.ID))
	}
	return ok(map[string]wireServer{"server": a.wireServer(s)})
}

func (a *API) deleteServer(c *call) (reply, error) {
	s, err := a.changeableServer(c)
	if err != nil {
		return reply{}, err
	}
	if s.ProtectDelete {
		return reply{}, errorf(hcloud.ErrorCodeProtected, "server with ID '%d' is protected against deletion", s.ID)
	}
	return ok(schema.ServerDeleteResponse{Action: a.start("delete_server", onServer(s.ID)).wire()})
}

// forgetServer removes a deleted server from all that refers to it.
func (a *API) forgetServer(id int64) {
	for _, ip := range a.state.PrimaryIPs.All() {
		if ip.Assignee == id {
			ip.Assignee = 0
			if ip.AutoDelete {
				a.state.PrimaryIPs.Remove(ip.ID)
			}
		}
	}
	for _, f := range a.state.Firewalls.All() {
		f.Servers = slices.DeleteFunc(f.Servers, func(s int64) bool { return s == id })
	}
	a.state.Servers.Remove(id)
}

// spec is all the runtime needs to make the machine of a server.
func (a *API) spec(s *server) machine.Spec {
	kind, _ := serverTypes.table.Get(s.Type)
	spec := machine.Spec{
		ID: s.ID, Name: s.Name, UserData: s.UserData, Cores: kind.item.Cores, MemoryMiB: int(kind.item.Memory * 1024),
		SSHKeys: s.SSHKeys,
	}
	if s.BootHangs {
		spec.UserData = hangingUserData
	}
	if ip := a.primaryIPOf(s, ipv4); ip != nil {
		spec.Public = netip.MustParseAddr(ip.IP)
	}
	for _, p := range s.Networks {
		spec.Private = append(spec.Private, machine.Attachment{Network: p.Network, Address: p.IP})
	}
	spec.Firewalled, spec.Rules = a.rules(s)
	return spec
}

// hangingUserData keeps cloud-init from ever finishing: the machine runs but answers nothing, like one whose boot is
// stuck.
const hangingUserData = "#cloud-config\nbootcmd:\n- [sleep, infinity]\n"
