package components

import (
	"net/netip"
	"strconv"

	"github.com/pulumi/pulumi-hcloud/sdk/go/hcloud"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"hashistack/internal/machine/parts"
)

// anywhere is every address, in the form that Hetzner's firewalls take.
var anywhere = []string{"0.0.0.0/0", "::/0"}

// newFirewall declares what may reach the public addresses of a pool's machines: the products' APIs from the
// operators' networks, the pool's open ports and pings from anywhere. All else is dropped, SSH included.
func newFirewall(ctx *pulumi.Context, args *MachinePoolArgs, parent pulumi.Resource) (*hcloud.Firewall, error) {
	rules := hcloud.FirewallRuleArray{rule("ping", "icmp", "", anywhere)}
	operators := texts(args.Operators)
	for _, api := range parts.Of(args.Roles).APIs() {
		rules = append(rules, rule(api.Name, "tcp", strconv.Itoa(api.Port), operators))
	}
	for _, ports := range args.Open {
		rules = append(rules, rule("open port", "tcp", ports, anywhere))
	}
	return hcloud.NewFirewall(ctx, args.Name, &hcloud.FirewallArgs{
		Name:   pulumi.String(args.Name),
		Labels: pulumi.ToStringMap(args.Labels),
		Rules:  rules,
	}, pulumi.Parent(parent), pulumi.DeleteBeforeReplace(true))
}

// rule admits traffic of one kind. Ports are empty where the protocol has none.
func rule(description, protocol, ports string, sources []string) hcloud.FirewallRuleArgs {
	r := hcloud.FirewallRuleArgs{
		Description: pulumi.String(description),
		Direction:   pulumi.String("in"),
		Protocol:    pulumi.String(protocol),
		SourceIps:   pulumi.ToStringArray(sources),
	}
	if ports != "" {
		r.Port = pulumi.String(ports)
	}
	return r
}

func texts(prefixes []netip.Prefix) []string {
	all := make([]string, 0, len(prefixes))
	for _, p := range prefixes {
		all = append(all, p.String())
	}
	return all
}
