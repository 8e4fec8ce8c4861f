package machine

import (
	_ "embed"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

const defaultRepository = "https://apt.releases.hashicorp.com"

// HashiCorp's package signing key, fingerprint 798A EC65 4E5C 1542 8C8E 42EE AA16 FCBC A621 E701, expires 2028-01-09.
// It is part of the program so that no machine has to trust a key the first time it sees it.
//
//go:embed keys/hashicorp.asc
var hashicorpKey string

var (
	defaultBridgeNetwork = netip.MustParsePrefix("172.26.64.0/20")

	// https://docs.hetzner.com/dns-console/dns/general/recursive-name-servers
	defaultResolvers = []netip.Addr{netip.MustParseAddr("185.12.64.1"), netip.MustParseAddr("185.12.64.2")}
)

func (c Cluster) withDefaults() Cluster {
	if c.Packages.Repository == "" {
		c.Packages.Repository = defaultRepository
	}
	if c.Packages.Key == "" {
		c.Packages.Key = hashicorpKey
	}
	if !c.BridgeNetwork.IsValid() {
		c.BridgeNetwork = defaultBridgeNetwork
	}
	if c.Resolvers == nil {
		c.Resolvers = defaultResolvers
	}
	return c
}

func (m Machine) withDefaults() Machine {
	if m.NodePool == "" {
		m.NodePool = "default"
	}
	return m
}

// check reports everything that would make a machine that cannot boot.
func (parts Parts) check(c Cluster, m Machine) error {
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }

	for _, field := range append(needed(c, m), field{"Cluster.CA", c.CA}) {
		if strings.TrimSpace(field.value) == "" {
			problem("%s is empty: every machine needs it", field.name)
		}
	}
	checkTexts(c, m, problem)
	for _, role := range QuorumRoles() {
		servers := c.Servers[role]
		if len(servers) == 0 {
			problem("Cluster.Servers[%q] is empty: name the machines with the role", role)
		}
		if m.Has(role) && !slices.Contains(servers, Peer{m.Name, m.Private}) {
			problem("Cluster.Servers[%q] lacks %s at %s, which has the role: name all machines with it, this one too",
				role, m.Name, m.Private)
		}
	}
	if !m.Private.Is4() {
		problem("Machine.Private is %s: a private IPv4 address is needed", m.Private)
	}
	if !c.Network.Contains(m.Private) {
		problem("Cluster.Network is %s, which Machine.Private %s is not in: name the network that all machines are in",
			c.Network, m.Private)
	}
	for _, role := range m.Roles {
		if !slices.Contains(AllRoles(), role) {
			problem("Machine.Roles has %q: the roles are %v", role, AllRoles())
		}
	}
	if parts.FirstCertificate() != nil && (m.BootstrapCertificate == "" || m.BootstrapKey == "") {
		problem("Machine.BootstrapCertificate or BootstrapKey is empty: roles %v need both, to be reachable before Vault "+
			"can issue certificates", m.Roles)
	}
	if s := c.Seal; s != nil && !slices.Contains(SealTypes(), s.Type) {
		problem("Cluster.Seal.Type is %q: Vault is unsealed by one of %v, or without a Seal by key shares", s.Type, SealTypes())
	}
	return errors.Join(problems...)
}
