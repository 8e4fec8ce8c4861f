package machine

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"hashistack/localcloud/metadata"
)

// The metadata service is asked at these addresses. The IPv4 one is no address of the host, which may have a metadata
// service of its own there: the firewall leads packets from the public network to MetadataPort on the gateway. The IPv6
// one is an address of the public bridge, and means nothing beyond it.
var (
	metadataIPv4 = netip.MustParseAddr("169.254.169.254")
	metadataIPv6 = netip.MustParseAddr("fe80::a9fe:a9fe")
)

// MetadataAddresses are where the metadata service must listen: the firewall leads machines there, and nobody else.
// It is one address only where the host's kernel has no IPv6.
func (d *Docker) MetadataAddresses() ([]string, error) {
	port := strconv.Itoa(int(d.opts.MetadataPort))
	all := []string{net.JoinHostPort(d.opts.gateway().String(), port)}
	if !hasIPv6() {
		return all, nil
	}
	bridge, err := net.InterfaceByName(d.firewall.publicBridge())
	if err != nil {
		return nil, fmt.Errorf("find the public network's bridge: %w", err)
	}
	// By number: Go remembers the numbers of names for a minute, and the bridge may be a new one.
	zoned := metadataIPv6.WithZone(strconv.Itoa(bridge.Index))
	return append(all, net.JoinHostPort(zoned.String(), port)), nil
}

func hasIPv6() bool {
	_, err := os.Stat("/proc/sys/net/ipv6/conf")
	return err == nil
}

// addMetadataIPv6 gives the public bridge the service's link-local address, which goes when the bridge goes.
func (d *Docker) addMetadataIPv6(ctx context.Context) error {
	if !hasIPv6() {
		d.log.Warn("this kernel has no IPv6: the metadata service is served on IPv4 only")
		return nil
	}
	bridge := d.firewall.publicBridge()
	setting := filepath.Join("/proc/sys/net/ipv6/conf", bridge, "disable_ipv6")
	if err := os.WriteFile(setting, []byte("0"), 0o644); err != nil { //nolint:gosec // exists already
		return err
	}
	// nodad: nobody else is there to have it already, and the service listens at once.
	out, err := exec.CommandContext(ctx, "ip", "-6", "address", "replace", metadataIPv6.String()+"/64", "dev", bridge, "nodad").CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip address replace %s dev %s: %w: %s", metadataIPv6, bridge, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Caller returns the machine that has an address on the public network. The host knows by its MAC address who is behind
// the address: a machine that only took the address of another one is not answered. It returns metadata.ErrStranger,
// wrapped, for anybody else.
func (d *Docker) Caller(ctx context.Context, from netip.Addr) (metadata.Caller, error) {
	mac, err := d.neighbour(ctx, from)
	if err != nil {
		return metadata.Caller{}, err
	}
	machines, err := d.docker.ContainerList(ctx, container.ListOptions{Filters: filters.NewArgs(
		filters.Arg("label", labelCloud+"="+d.opts.Name), filters.Arg("network", d.publicNetwork()),
	)})
	if err != nil {
		return metadata.Caller{}, fmt.Errorf("list the machines: %w", err)
	}
	return callerAmong(machines, d.publicNetwork(), from, mac)
}

func callerAmong(machines []container.Summary, publicNetwork string, from netip.Addr, mac string) (metadata.Caller, error) {
	for _, m := range machines {
		if m.NetworkSettings == nil {
			continue
		}
		public := m.NetworkSettings.Networks[publicNetwork]
		// Docker has no link-local addresses: for them, the MAC address says all.
		if public == nil || mac == "" || public.MacAddress != mac || from.Is4() && public.IPAddress != from.String() {
			continue
		}
		id, err := strconv.ParseInt(m.Labels[labelID], 10, 64)
		if err != nil {
			return metadata.Caller{}, fmt.Errorf("label %s of container %s: %w", labelID, m.ID, err)
		}
		return metadata.Caller{ID: id, MAC: mac}, nil
	}
	return metadata.Caller{}, fmt.Errorf("%s (%s): %w", from, mac, metadata.ErrStranger)
}

// neighbour returns the MAC address that the host sends packets for an address to, empty if it is not on the public
// network.
func (d *Docker) neighbour(ctx context.Context, address netip.Addr) (string, error) {
	cmd := exec.CommandContext(ctx, "ip", "-json", "neighbour", "show", "to", address.String(), "dev", d.firewall.publicBridge())
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("ip neighbour show %s: %w: %s", address, err, strings.TrimSpace(said.String()))
	}
	var all []struct {
		MAC string `json:"lladdr"`
	}
	if err := json.Unmarshal(out.Bytes(), &all); err != nil {
		return "", fmt.Errorf("ip neighbour show %s: %w", address, err)
	}
	if len(all) != 1 {
		return "", nil
	}
	return all[0].MAC, nil
}
