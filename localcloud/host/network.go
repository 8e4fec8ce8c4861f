package host

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"strings"
)

// LastResort is the metric of the routes that the local cloud makes itself: the highest there is, so that any other route
// comes first.
const LastResort = 4294967294

// BridgePrefix starts the names of all bridges of the local cloud of a name. Interface names have 15 characters.
func BridgePrefix(cloud string) string {
	sum := sha256.Sum256([]byte(cloud))
	return "hz" + hex.EncodeToString(sum[:2]) + "-"
}

// Use is a range of addresses that the host uses already.
type Use struct {
	Prefix netip.Prefix
	// What says in the words of `ip` what it is.
	What string
}

// widest is the shortest prefix that counts: a default route, or one that a VPN has cut into two or four, is in nobody's way.
const widest = 8

// Uses lists the host's routes, addresses and name servers. Those of the local cloud of this name are left out.
func Uses(ctx context.Context, cloud string) ([]Use, error) {
	cmd := exec.CommandContext(ctx, "ip", "-json", "-4", "route", "show", "table", "all")
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("ip route show: %w: %s", err, strings.TrimSpace(said.String()))
	}
	uses, err := routes(out.Bytes(), BridgePrefix(cloud))
	if err != nil {
		return nil, err
	}
	// What systemd-resolved asks stands in a file of its own.
	for _, path := range []string{"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"} {
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		uses = append(uses, nameServers(string(content), path)...)
	}
	return uses, nil
}

func routes(list []byte, ours string) ([]Use, error) {
	var all []struct {
		Type    string `json:"type"` // empty for an ordinary one
		To      string `json:"dst"`
		Via     string `json:"gateway"`
		Device  string `json:"dev"`
		Metric  int64  `json:"metric"`
		Address string `json:"prefsrc"`
	}
	if err := json.Unmarshal(list, &all); err != nil {
		return nil, fmt.Errorf("read the output of `ip route show`: %w", err)
	}
	var uses []Use
	for _, r := range all {
		if strings.HasPrefix(r.Device, ours) || r.Type == "blackhole" && r.Metric == LastResort || r.To == "default" || r.Type == "broadcast" {
			continue
		}
		to, err := netip.ParsePrefix(r.To)
		if err != nil {
			address, err := netip.ParseAddr(r.To)
			if err != nil {
				return nil, fmt.Errorf("read the output of `ip route show`: %w", err)
			}
			to = netip.PrefixFrom(address, address.BitLen())
		}
		if to.Bits() < widest {
			continue
		}
		what := "route"
		if r.Type == "local" {
			what = "address"
		} else if r.Type != "" {
			what += " " + r.Type
		}
		what += " " + r.To
		if r.Via != "" {
			what += " via " + r.Via
		}
		if r.Device != "" {
			what += " dev " + r.Device
		}
		uses = append(uses, Use{to, what})
	}
	return uses, nil
}

func nameServers(content, path string) (uses []Use) {
	for line := range strings.Lines(content) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		if address, err := netip.ParseAddr(fields[1]); err == nil && address.Is4() {
			uses = append(uses, Use{netip.PrefixFrom(address, 32), "name server " + fields[1] + " of " + path})
		}
	}
	return uses
}

// Free returns an error that says which of the uses a range overlaps with: what goes there now would go into the local
// cloud instead.
func Free(ipRange netip.Prefix, uses []Use) error {
	var found []string
	for _, use := range uses {
		if use.Prefix.Overlaps(ipRange) {
			found = append(found, use.What)
		}
	}
	if len(found) == 0 {
		return nil
	}
	return fmt.Errorf("%s overlaps with what this host uses (%s), which could not be reached any more: choose another range, "+
		"or take that away, such as a VPN", ipRange, strings.Join(found, ", "))
}
