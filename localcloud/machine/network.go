package machine

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/network"

	"hashistack/localcloud/host"
)

// mtu is that of Hetzner's private networks, 1450, less the room that a tunnel under a laptop's Docker may need.
const mtu = 1400

// The guest's interfaces are in the order of the Docker networks' names: eth0 is the public one, as at Hetzner.
func (d *Docker) publicNetwork() string          { return d.opts.Name + "-a-public" }
func (d *Docker) privateNetwork(id int64) string { return fmt.Sprintf("%s-b-%d", d.opts.Name, id) }

// CreateNetwork makes a private network. It is no error when it is there already.
func (d *Docker) CreateNetwork(ctx context.Context, id int64, ipRange netip.Prefix) error {
	bridge, err := d.firewall.privateBridge(id)
	if err != nil {
		return err
	}
	if err := d.createNetwork(ctx, d.privateNetwork(id), bridge, ipRange); err != nil {
		return fmt.Errorf("create network %d (%s): %w", id, ipRange, err)
	}
	return nil
}

// DeleteNetwork removes a private network. It is no error when there is none.
func (d *Docker) DeleteNetwork(ctx context.Context, id int64) error {
	if err := d.removeNetwork(ctx, d.privateNetwork(id)); err != nil {
		return fmt.Errorf("delete network %d: %w", id, err)
	}
	return nil
}

func (d *Docker) createNetwork(ctx context.Context, name, bridge string, ipRange netip.Prefix) error {
	ipRange = ipRange.Masked()
	if !ipRange.Addr().Is4() {
		return fmt.Errorf("%s is no IPv4 range", ipRange)
	}
	_, err := d.docker.NetworkInspect(ctx, name, network.InspectOptions{})
	made := errdefs.IsNotFound(err)
	if made {
		err = d.newNetwork(ctx, name, bridge, ipRange)
	}
	if err != nil {
		return err
	}
	// If the bridge is down or gone, packets for its machines must not leave by the host's default route.
	err = blackhole(ctx, "replace", ipRange)
	if err != nil && made {
		err = errors.Join(err, d.docker.NetworkRemove(context.WithoutCancel(ctx), name))
	}
	return err
}

func (d *Docker) newNetwork(ctx context.Context, name, bridge string, ipRange netip.Prefix) error {
	// The host must not lose its way to others.
	uses, err := host.Uses(ctx, d.opts.Name)
	if err == nil {
		err = host.Free(ipRange, uses)
	}
	if err != nil {
		return err
	}
	labels := d.opts.labels()
	labels[labelIPRange] = ipRange.String()
	_, err = d.docker.NetworkCreate(ctx, name, network.CreateOptions{
		Driver: "bridge",
		IPAM: &network.IPAM{Config: []network.IPAMConfig{{
			Subnet: ipRange.String(), Gateway: ipRange.Addr().Next().String(), // Hetzner's gateway is .1 too
		}}},
		Labels: labels,
		Options: map[string]string{
			"com.docker.network.bridge.name": bridge,
			// Machines have no way to the outside.
			"com.docker.network.bridge.enable_ip_masquerade": "false",
			"com.docker.network.driver.mtu":                  strconv.Itoa(mtu),
		},
	})
	return err
}

// guardNetworks sets the routes of last resort of all networks that exist: a reboot of the host has removed them.
func (d *Docker) guardNetworks(ctx context.Context) error {
	all, err := d.things(ctx)
	if err != nil {
		return err
	}
	for _, t := range all {
		if t.kind != "network" {
			continue
		}
		ipRange, err := netip.ParsePrefix(t.labels[labelIPRange])
		if err != nil {
			return fmt.Errorf("label %s of Docker network %s: %w", labelIPRange, t.name, err)
		}
		if err := blackhole(ctx, "replace", ipRange); err != nil {
			return err
		}
	}
	return nil
}

func (d *Docker) removeNetwork(ctx context.Context, name string) error {
	n, err := d.docker.NetworkInspect(ctx, name, network.InspectOptions{})
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	ipRange, err := netip.ParsePrefix(n.Labels[labelIPRange])
	if err != nil {
		return fmt.Errorf("label %s of Docker network %s: %w", labelIPRange, name, err)
	}
	// The network last: as long as it is there, its label tells the next attempt which route to remove.
	if err := blackhole(ctx, "del", ipRange); err != nil {
		return err
	}
	if err := d.docker.NetworkRemove(ctx, n.ID); err != nil {
		return errors.Join(err, blackhole(context.WithoutCancel(ctx), "replace", ipRange)) // somebody still needs both
	}
	return nil
}

// join puts a new machine into its networks. It connects all of them after creation and in the same way, so that the
// machine can leave or join any of them later. A container that is created without a network is in Docker's network
// "none", which allows no other beside it.
func (d *Docker) join(ctx context.Context, spec Spec) error {
	if err := d.docker.NetworkDisconnect(ctx, network.NetworkNone, d.container(spec.ID), true); err != nil {
		return fmt.Errorf("make room for networks: %w", err)
	}
	if spec.Public.IsValid() {
		if err := d.connect(ctx, spec.ID, d.publicNetwork(), spec.Public); err != nil {
			return fmt.Errorf("give it the public address %s: %w", spec.Public, err)
		}
	}
	for _, to := range spec.Private {
		if err := d.Attach(ctx, spec.ID, to); err != nil {
			return err
		}
	}
	return nil
}

func (d *Docker) connect(ctx context.Context, id int64, name string, address netip.Addr) error {
	return d.docker.NetworkConnect(ctx, name, d.container(id), &network.EndpointSettings{
		IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: address.String()},
	})
}

// SetPublic gives a machine that is off another public address, or takes it away. The guest finds it on its first
// interface when it is powered on: addresses are set from outside, and cloud-init has no say in them.
func (d *Docker) SetPublic(ctx context.Context, id int64, address netip.Addr) error {
	if err := d.setPublic(ctx, id, address); err != nil {
		return fmt.Errorf("set the public address of machine %d: %w", id, err)
	}
	return nil
}

func (d *Docker) setPublic(ctx context.Context, id int64, address netip.Addr) error {
	state, err := d.State(ctx, id)
	if err != nil {
		return err
	}
	if state != Off { // a running guest would lose its default route and find its interfaces in another order
		return fmt.Errorf("want it off, got it %s", state)
	}
	old, err := d.publicAddress(ctx, id)
	if err != nil || old == address {
		return err
	}
	if old.IsValid() {
		// The firewall first: once the machine has left the network, nothing tells which address to remove.
		if err := d.firewall.remove(ctx, id, old); err != nil {
			return err
		}
		if err := d.docker.NetworkDisconnect(ctx, d.publicNetwork(), d.container(id), true); err != nil {
			return found(err)
		}
	}
	if !address.IsValid() {
		return nil
	}
	return found(d.connect(ctx, id, d.publicNetwork(), address))
}

// Attach puts the machine into a private network, at once if it runs.
func (d *Docker) Attach(ctx context.Context, id int64, to Attachment) error {
	if err := d.connect(ctx, id, d.privateNetwork(to.Network), to.Address); err != nil {
		return fmt.Errorf("attach machine %d to network %d as %s: %w", id, to.Network, to.Address, found(err))
	}
	return nil
}

// Detach takes the machine out of a private network, at once if it runs.
func (d *Docker) Detach(ctx context.Context, id, network int64) error {
	if err := d.docker.NetworkDisconnect(ctx, d.privateNetwork(network), d.container(id), true); err != nil {
		return fmt.Errorf("detach machine %d from network %d: %w", id, network, found(err))
	}
	return nil
}

// blackhole sets or deletes the route of last resort for a range.
func blackhole(ctx context.Context, verb string, ipRange netip.Prefix) error {
	out, err := exec.CommandContext(ctx, "ip", "route", verb, "blackhole", ipRange.String(), "metric", strconv.Itoa(host.LastResort)).CombinedOutput()
	if verb == "del" && strings.Contains(string(out), "No such process") {
		return nil // gone already, with a restart of the host
	}
	if err != nil {
		return fmt.Errorf("ip route %s blackhole %s: %w: %s", verb, ipRange, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// found adds ErrNotFound to an error with which Docker says that something does not exist.
func found(err error) error {
	if errdefs.IsNotFound(err) {
		return errors.Join(ErrNotFound, err)
	}
	return err
}
