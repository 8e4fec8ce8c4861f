// Package machine runs the servers of the local Hetzner Cloud: systemd containers on Docker, their networks, and the
// cloud firewall in front of them.
package machine

import (
	"context"
	"errors"
	"net/netip"
)

// ErrNotFound is returned, wrapped, for a machine or network the runtime does not have.
var ErrNotFound = errors.New("not found")

// Rule lets inbound traffic pass the cloud firewall, as a rule of a Hetzner firewall with direction "in" does.
type Rule struct {
	// Protocol is tcp, udp, icmp, esp or gre.
	Protocol string
	// Ports is one port ("80") or a range ("80-90"); empty means any. Only tcp and udp have ports.
	Ports string
	// Sources are the networks the traffic may come from. IPv6 networks are ignored: machines have IPv4 only.
	Sources []netip.Prefix
}

// Attachment is a machine's place in a private network.
type Attachment struct {
	Network int64
	Address netip.Addr
}

// Spec is everything a machine is made from.
type Spec struct {
	ID       int64
	Name     string
	UserData string
	// Public is the machine's public address; the zero value means that it has no public network.
	Public  netip.Addr
	Private []Attachment
	Rules   []Rule
	// Firewalled is false for a machine with no firewall: everything inbound is then open, as at Hetzner.
	Firewalled bool
	// Cores weighs the machine against the others when the host is busy; it is no hard limit, because the machines of a
	// laptop share a few cores.
	Cores     int
	MemoryMiB int
	// SSHKeys are the public keys, in authorized_keys format, that root accepts.
	SSHKeys []string
}

// State says whether a machine is powered.
type State string

// The two states of a machine.
const (
	Running State = "running"
	Off     State = "off"
)

// Runtime is what the API of the local cloud needs from whatever runs its machines. All methods are safe for concurrent
// use, but the caller must put the calls for one machine in order.
type Runtime interface {
	CreateNetwork(ctx context.Context, id int64, ipRange netip.Prefix) error
	DeleteNetwork(ctx context.Context, id int64) error
	// Create makes the machine, powered off, with a fresh disk from the image.
	Create(ctx context.Context, spec Spec) error
	// Delete removes the machine and its disk. Deleting a machine that is not there is no error.
	Delete(ctx context.Context, id int64) error
	// PowerOn starts the machine and does not wait for its boot. It is no error when the machine runs already.
	PowerOn(ctx context.Context, id int64) error
	// PowerOff is hard, like pulling the plug.
	PowerOff(ctx context.Context, id int64) error
	// Shutdown asks the guest to power off and returns at once.
	Shutdown(ctx context.Context, id int64) error
	// Reboot asks the guest to restart, like ctrl-alt-del, and returns at once.
	Reboot(ctx context.Context, id int64) error
	// Reset is a hard power cycle.
	Reset(ctx context.Context, id int64) error
	// Rebuild gives the machine a fresh disk from the image and leaves it running; all else is as in spec.
	Rebuild(ctx context.Context, spec Spec) error
	// Resize gives a machine that is off the cores and the memory of spec. All else, and its disk, stays as it is.
	Resize(ctx context.Context, spec Spec) error
	Attach(ctx context.Context, id int64, to Attachment) error
	Detach(ctx context.Context, id, network int64) error
	// SetPublic changes the public address of a machine that is off; the zero Addr takes it away. Nothing gets in at the new
	// one before SetFirewall. It is no error when the machine has the address already.
	SetPublic(ctx context.Context, id int64, address netip.Addr) error
	// SetFirewall replaces the machine's cloud firewall in one step; established connections are kept.
	SetFirewall(ctx context.Context, id int64, firewalled bool, rules []Rule) error
	// State returns ErrNotFound, wrapped, when there is no such machine.
	State(ctx context.Context, id int64) (State, error)
}
