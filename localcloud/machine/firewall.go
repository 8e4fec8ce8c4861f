package machine

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"net/netip"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"text/template"

	"hashistack/localcloud/host"
)

// firewall is the cloud firewall: an nft table of each family on the host, out of the guests' reach. It filters what comes
// in on the machines' public addresses; private networks are never filtered, as at Hetzner.
type firewall struct {
	table  string
	prefix string // of the names of all bridges
}

var notInName = regexp.MustCompile(`[^A-Za-z0-9_]`)

func newFirewall(cloud string) firewall {
	return firewall{
		table:  "localcloud_" + notInName.ReplaceAllString(cloud, "_"),
		prefix: host.BridgePrefix(cloud),
	}
}

func (f firewall) publicBridge() string { return f.prefix + "public" }

func (f firewall) privateBridge(network int64) (string, error) {
	name := f.prefix + strconv.FormatInt(network, 36)
	if len(name) > 15 {
		return "", fmt.Errorf("network ID %d: too large for the name of an interface", network)
	}
	return name, nil
}

//go:embed firewall.nft.tmpl
var baseTemplate string

// base is the part of the table that does not depend on the machines.
var base = template.Must(template.New("firewall.nft.tmpl").Parse(baseTemplate))

func (f firewall) setUp(ctx context.Context, public netip.Prefix, mirrorPort, metadataPort uint16) error {
	var script bytes.Buffer
	err := base.Execute(&script, map[string]any{
		"Table": f.table, "Bridges": f.prefix + "*", "Public": f.publicBridge(), "Range": public.Masked(),
		"Gateway": public.Masked().Addr().Next(), "MirrorPort": mirrorPort, "MetadataPort": metadataPort,
		"MetadataIPv4": metadataIPv4, "MetadataIPv6": metadataIPv6,
	})
	if err != nil {
		return err
	}
	if err := nft(ctx, script.String()); err != nil {
		return fmt.Errorf("set up the cloud firewall: %w", err)
	}
	return nil
}

func (f firewall) tearDown(ctx context.Context) error {
	// Deleting a table that does not exist is an error, so it is added first.
	return nft(ctx, fmt.Sprintf("add table ip %[1]s\ndelete table ip %[1]s\nadd table ip6 %[1]s\ndelete table ip6 %[1]s\n", f.table))
}

func (f firewall) set(ctx context.Context, id int64, address netip.Addr, firewalled bool, rules []Rule) error {
	script, err := f.setScript(id, address, firewalled, rules)
	if err != nil {
		return err
	}
	return nft(ctx, script)
}

func (f firewall) chain(id int64) string { return fmt.Sprintf("server_%d", id) }

// setScript replaces a machine's chain. nft applies a script as one transaction: packets meet the old rules or the new
// ones, never a mixture.
func (f firewall) setScript(id int64, address netip.Addr, firewalled bool, rules []Rule) (string, error) {
	var out strings.Builder
	chain := f.table + " " + f.chain(id)
	fmt.Fprintf(&out, "add chain ip %[1]s\nflush chain ip %[1]s\n", chain)
	for _, rule := range rules {
		matches, err := rule.matches()
		if err != nil {
			return "", err
		}
		for _, match := range matches {
			fmt.Fprintf(&out, "add rule ip %s %s accept\n", chain, match)
		}
	}
	verdict := "drop"
	if !firewalled {
		verdict = "accept"
	}
	fmt.Fprintf(&out, "add rule ip %s %s\n", chain, verdict)
	fmt.Fprintf(&out, "add element ip %s servers { %s : jump %s }\n", f.table, address, f.chain(id))
	return out.String(), nil
}

// matches returns one nft expression for each source network. A set would be shorter, but its networks must not
// overlap.
func (r Rule) matches() ([]string, error) {
	var what string
	switch r.Protocol {
	case "tcp", "udp":
		what = "meta l4proto " + r.Protocol
		if r.Ports != "" {
			if !portRange.MatchString(r.Ports) {
				return nil, fmt.Errorf("firewall rule: ports %q: want one port or a range such as 80-90", r.Ports)
			}
			what = r.Protocol + " dport " + r.Ports
		}
	case "icmp", "esp", "gre":
		what = "meta l4proto " + r.Protocol
	default:
		return nil, fmt.Errorf("firewall rule: protocol %q: want tcp, udp, icmp, esp or gre", r.Protocol)
	}
	var all []string
	for _, source := range r.Sources {
		if source.Addr().Is4() {
			all = append(all, fmt.Sprintf("ip saddr %s %s", source.Masked(), what))
		}
	}
	return all, nil
}

var portRange = regexp.MustCompile(`^\d+(-\d+)?$`)

// remove forgets a machine. Its address then belongs to no machine and is dropped.
func (f firewall) remove(ctx context.Context, id int64, address netip.Addr) error {
	// Added first, as in tearDown, so that removing a machine without rules is no error.
	script, err := f.setScript(id, address, true, nil)
	if err != nil {
		return err
	}
	script += fmt.Sprintf("delete element ip %[1]s servers { %[2]s }\nflush chain ip %[1]s %[3]s\ndelete chain ip %[1]s %[3]s\n", f.table, address, f.chain(id))
	return nft(ctx, script)
}

func nft(ctx context.Context, script string) error {
	cmd := exec.CommandContext(ctx, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w\n%s\nin:\n%s", err, out, script)
	}
	return nil
}
