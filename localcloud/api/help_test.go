package api_test

import (
	"net"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"

	"hashistack/localcloud/api"
)

const testKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl test"

var bigLimits = api.Limits{Servers: 100, PrimaryIPs: 100, Networks: 100, Firewalls: 100, PlacementGroups: 100}

func tcpRule(port string) hcloud.FirewallRule {
	_, all, _ := net.ParseCIDR("0.0.0.0/0")
	return hcloud.FirewallRule{Direction: hcloud.FirewallRuleDirectionIn, Protocol: hcloud.FirewallRuleProtocolTCP, Port: &port, SourceIPs: []net.IPNet{*all}}
}

func selecting(selector string) hcloud.FirewallResource {
	return hcloud.FirewallResource{Type: hcloud.FirewallResourceTypeLabelSelector, LabelSelector: &hcloud.FirewallResourceLabelSelector{Selector: selector}}
}

func onServer(s *hcloud.Server) hcloud.FirewallResource {
	return hcloud.FirewallResource{Type: hcloud.FirewallResourceTypeServer, Server: &hcloud.FirewallResourceServer{ID: s.ID}}
}
