package infra

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/semver"

	"hashistack/internal/machine"
)

// These are the rules between several keys. Their sentences stand among the keys, in settings.go.

func (c *Config) bridgeOutside(broken report) {
	if ipv4Network.test(c.Network) != nil || ipv4Network.test(c.BridgeNetwork) != nil {
		return
	}
	if c.Network.Overlaps(c.BridgeNetwork) {
		broken("bridgeNetwork", "%s overlaps network %s: choose one outside of it", c.BridgeNetwork, c.Network)
	}
}

func (c *Config) subnetsInside(broken report) {
	for i, pool := range c.Pools {
		if ipv4Network.test(pool.Subnet) != nil {
			continue
		}
		path := fmt.Sprintf("pools[%d].subnet", i)
		if c.Network.IsValid() && (!c.Network.Overlaps(pool.Subnet) || pool.Subnet.Bits() < c.Network.Bits()) {
			broken(path, "%s is not part of network %s", pool.Subnet, c.Network)
		}
		if roomForPool.test(pool.Subnet) != nil {
			continue
		}
		for j, other := range c.Pools[:i] {
			if other.Subnet.IsValid() && other.Subnet.Overlaps(pool.Subnet) {
				broken(path, "%s overlaps pools[%d].subnet %s: give each pool a subnet of its own", pool.Subnet, j, other.Subnet)
			}
		}
	}
}

// quorums is checked before the pools' own limits: for a pool with a quorum, "1, 3 or 5" is a better answer to a count of
// 120 than "at most 100".
func (c *Config) quorums(broken report) {
	owners := map[machine.Role]string{}
	for i, pool := range c.Pools {
		for j, role := range pool.Roles {
			switch {
			case !slices.Contains(machine.QuorumRoles(), role):
				continue
			case owners[role] != "":
				broken(fmt.Sprintf("pools[%d].roles[%d]", i, j), "%s is a role of pool %q already: one pool holds a quorum", role, owners[role])
			case !slices.Contains([]int{1, 3, 5}, pool.Count):
				broken(fmt.Sprintf("pools[%d].count", i),
					"must be 1, 3 or 5 with role %s, got %d: an even number tolerates no more failures than the odd one below it", role, pool.Count)
			}
			owners[role] = pool.Name
		}
	}
	for _, role := range machine.QuorumRoles() {
		if owners[role] == "" && len(c.Pools) > 0 {
			broken("pools", "no pool has the role %s: add it to one of them", role)
		}
	}
}

func (c *Config) poolNames(broken report) {
	for i, pool := range c.Pools {
		for j, other := range c.Pools[:i] {
			if strings.HasPrefix(pool.Name+"-", other.Name+"-") || strings.HasPrefix(other.Name+"-", pool.Name+"-") {
				// Consul's rules match names by prefix: what one pool may do, the other could then do as well.
				broken(fmt.Sprintf("pools[%d].name", i), "%q begins like pools[%d].name, %q: choose names of which none begins with another",
					pool.Name, j, other.Name)
			}
		}
	}
}

// mostMachines is how many servers Hetzner attaches to a network (https://docs.hetzner.com/cloud/networks/faq).
const mostMachines = 100

func (c *Config) attachable(broken report) {
	machines := 0
	for _, pool := range c.Pools {
		if pool.Count > mostMachines {
			return // that pool's own limit says it
		}
		machines += max(pool.Count, 0)
	}
	if machines > mostMachines {
		broken("pools", "have %d machines together, and Hetzner attaches at most %d to a network: use fewer, larger machines, or a second stack",
			machines, mostMachines)
	}
}

// viaServer keeps an update from a machine that has none of the APIs.
func (c *Config) viaServer(broken report) {
	var servers []string
	for _, pool := range c.Pools {
		if slices.ContainsFunc(machine.QuorumRoles(), pool.has) {
			for number := range max(pool.Count, 0) {
				servers = append(servers, fmt.Sprintf("%s-%d", pool.Name, number+1))
			}
		}
	}
	if c.Via != "" && len(servers) > 0 && !slices.Contains(servers, c.Via) {
		broken("via", "must be one of %s, got %q", commas(servers), c.Via)
	}
}

// machinesFit is about larger pools: the smallest subnet holds twenty-one machines.
func (c *Config) machinesFit(broken report) {
	for i, pool := range c.Pools {
		if roomForPool.test(pool.Subnet) != nil {
			continue
		}
		// The last address of a subnet is for broadcasts.
		room := 1<<min(pool.Subnet.Addr().BitLen()-pool.Subnet.Bits(), 16) - firstHost - 1
		if pool.Count <= mostMachines && pool.Count > room {
			broken(fmt.Sprintf("pools[%d].count", i), "%d machines do not fit in subnet %s, which has room for %d: choose a larger subnet for a new pool, "+
				"or use several pools", pool.Count, pool.Subnet, room)
		}
	}
}

// readableKeys keeps a stack able to unseal its machines.
func (c *Config) readableKeys(broken report) {
	if c.Seal == nil && len(c.VaultKeys.PGPKeyFiles) > 0 {
		broken("vaultKeys.pgpKeyFiles", "must be left out without seal: the stack unseals every machine that it replaces, and could not read keys "+
			"that are encrypted for somebody; remove it, or set seal to a key management service, whose recovery keys can be encrypted")
	}
}

// enoughShares is Vault's own rule (vault/seal_config.go).
func (v *VaultKeys) enoughShares(broken report) {
	switch {
	case v.Shares < 1 || v.Threshold < 1:
	case v.Threshold > v.Shares:
		broken("threshold", "must be at most vaultKeys.shares, %d, got %d: nobody could have so many keys; lower it, or raise shares", v.Shares, v.Threshold)
	case v.Shares > 1 && v.Threshold == 1:
		broken("threshold", "must be at least 2 with %d shares, got 1: Vault does not make several keys of which any is enough; "+
			"raise it, or set shares to 1", v.Shares)
	}
}

func (v *VaultKeys) sharesForAll(broken report) {
	if files := len(v.PGPKeyFiles); files > 0 && files != v.Shares {
		broken("pgpKeyFiles", "must be one file for each of the %d vaultKeys.shares, got %d: Vault encrypts one share for each key; "+
			"set shares to %d, or list other files", v.Shares, files, files)
	}
}

// firstNomad is the first that knows introductions of clients. Earlier ones refuse the servers' configuration.
const firstNomad = "1.11"

func (v *Versions) introducesClients(broken report) {
	if debianVersion.MatchString(v.Nomad) && semver.Compare(upstream(v.Nomad), "v"+firstNomad) < 0 {
		broken("nomad", "must be %s or later, got %q: earlier ones let every machine with a certificate register nodes of any name; "+
			"choose a later one", firstNomad, v.Nomad)
	}
}

// upstream is the version in a Debian version, as far as it orders releases.
func upstream(debian string) string {
	_, version, hasEpoch := strings.Cut(debian, ":")
	if !hasEpoch {
		version = debian
	}
	numbers := strings.SplitN(version, ".", 3)
	for i, number := range numbers {
		numbers[i] = number[:len(number)-len(strings.TrimLeft(number, "0123456789"))]
	}
	return "v" + strings.Join(numbers, ".")
}

// longestCertificate is half of the year in which any `pulumi up` renews an authority (components/trust.go). In the other half
// the authority still outlives the certificates that it issues.
const longestCertificate = 365 * 24 * time.Hour / 2

// tokenWithinLogin lets consul-template notice in time that tokens have ended. It notices at the latest when it renews them,
// after a third of their life. A login that is no longer renewed lives on for at least a third of its own.
func (l *Lifetimes) tokenWithinLogin(broken report) {
	if l.Token > l.Login {
		broken("token", "%s is longer than lifetimes.login, %s: Consul tokens end with the login they were issued to, "+
			"and would be replaced too late; choose a shorter one, or a longer login", l.Token, l.Login)
	}
}

func (l *Lifetimes) renewable(broken report) {
	const longer = "%s is longer than lifetimes.tokenMax, %s, up to which a token can be renewed: choose a shorter one, or a longer tokenMax"
	if l.Login > l.TokenMax {
		broken("login", longer, l.Login, l.TokenMax)
	}
	if l.Token > l.TokenMax {
		broken("token", longer, l.Token, l.TokenMax)
	}
}

func (g *Generations) rootsInStep(broken report) {
	switch {
	case g.Root < 1 || g.MachineRoot < 1:
	case g.MachineRoot > g.Root:
		broken("machineRoot", "must not be greater than generations.root, %d, got %d: there is no such root; "+
			"raise root first, and machineRoot once all certificates have been renewed", g.Root, g.MachineRoot)
	case g.MachineRoot < g.Root-1:
		broken("machineRoot", "must be generations.root, %d, or the one before it, got %d: machines would not be able to "+
			"verify what root %d signs; set root to %d until machineRoot is %d and the machines are replaced",
			g.Root, g.MachineRoot, g.Root, g.MachineRoot+1, g.MachineRoot+1)
	}
}
