package infra

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"hashistack/internal/machine"
)

// problems are what is wrong with a configuration: one sentence for each path.
type problems struct {
	paths     []string
	sentences []string
}

// add notes a problem at path ("pools[0].count"). A path keeps its first problem: what follows from a value that could
// not be read is not worth a second sentence.
func (p *problems) add(path, format string, args ...any) {
	if slices.Contains(p.paths, path) {
		return
	}
	p.paths = append(p.paths, path)
	if !strings.Contains(path, ":") {
		path = namespace + ":" + path
	}
	p.sentences = append(p.sentences, path+": "+fmt.Sprintf(format, args...))
}

func (p *problems) err() error {
	if len(p.sentences) == 0 {
		return nil
	}
	return fmt.Errorf("the stack's configuration has %d problem(s); nothing was changed:\n  - %s",
		len(p.sentences), strings.Join(p.sentences, "\n  - "))
}

// check finds what is wrong with the values as such and with each other.
func (p *problems) check(cfg *Config) {
	if cfg.Location == "" {
		p.add("location", "missing: set it to a Hetzner location such as fsn1, nbg1 or hel1")
	}
	p.checkNetworks(cfg)
	if len(cfg.Pools) == 0 {
		p.add("pools", "missing: a stack needs at least machines with the roles %s, %s and %s",
			machine.RoleVault, machine.RoleConsulServer, machine.RoleNomadServer)
		return
	}
	owners := map[machine.Role]string{}
	for i, pool := range cfg.Pools {
		p.checkPool(cfg, i, pool, owners)
	}
	for _, role := range machine.QuorumRoles() {
		if owners[role] == "" {
			p.add("pools", "no pool has the role %s: add it to one of them", role)
		}
	}
	if cfg.Mirror != nil {
		p.checkMirror(cfg.Mirror)
	}
	p.checkLifetimes(cfg.Lifetimes)
	if cfg.Patience < minPatience || cfg.Patience > maxPatience {
		p.add("patience", "must be a duration between %s and %s such as 5m, got %s: a machine takes about a minute to boot", minPatience, maxPatience, cfg.Patience)
	}
	p.checkGenerations(cfg.Generations)
	if cfg.Seal != nil && !slices.Contains(machine.SealTypes(), cfg.Seal.Type) {
		p.add("seal.type", "must be one of %s, got %q", strings.Join(machine.SealTypes(), ", "), cfg.Seal.Type)
	}
}

func (p *problems) checkPool(cfg *Config, i int, pool Pool, owners map[machine.Role]string) {
	at := fmt.Sprintf("pools[%d]", i)
	if !hostname.MatchString(pool.Name) {
		p.add(at+".name", "must be a host name of lower-case letters, digits and dashes that starts with a letter, got %q", pool.Name)
	}
	for j, other := range cfg.Pools[:i] {
		if strings.HasPrefix(pool.Name+"-", other.Name+"-") || strings.HasPrefix(other.Name+"-", pool.Name+"-") {
			// Consul's rules go by prefix: what one pool may do, the other could then do as well.
			p.add(at+".name", "%q begins like pools[%d].name, %q: choose names of which none begins with another", pool.Name, j, other.Name)
		}
	}
	if pool.Type == "" {
		p.add(at+".type", "missing: set it to a Hetzner server type such as cpx32")
	}
	if len(pool.Roles) == 0 {
		p.add(at+".roles", "missing: give it at least one of %s", roleList())
	}
	for j, role := range pool.Roles {
		path := fmt.Sprintf("%s.roles[%d]", at, j)
		switch {
		case !slices.Contains(machine.AllRoles(), role):
			p.add(path, "must be one of %s, got %q", roleList(), role)
		case !slices.Contains(machine.QuorumRoles(), role):
			continue
		case owners[role] != "":
			p.add(path, "%s is a role of pool %q already: one pool holds a quorum", role, owners[role])
		case !slices.Contains([]int{1, 3, 5}, pool.Count):
			p.add(at+".count", "must be 1, 3 or 5 with role %s, got %d: an even number tolerates no more failures than the odd one below it",
				role, pool.Count)
		}
		if slices.Contains(machine.QuorumRoles(), role) {
			owners[role] = pool.Name
		}
	}
	// Hetzner spreads at most ten servers of a placement group.
	if pool.Count < 1 || pool.Count > maxPool {
		p.add(at+".count", "must be between 1 and %d, got %d: use several pools for more", maxPool, pool.Count)
	}
	for j, ports := range pool.Open {
		if !portRange.MatchString(ports) {
			p.add(fmt.Sprintf("%s.open[%d]", at, j), "must be a port or a range of ports such as 443 or 30000-32000, got %q", ports)
		}
	}
}

func (p *problems) checkNetworks(cfg *Config) {
	private := func(path string, prefix netip.Prefix) bool {
		switch {
		case !prefix.IsValid():
			p.add(path, "missing: set it to an IPv4 network such as 10.0.0.0/16")
		case !prefix.Addr().Is4() || prefix != prefix.Masked():
			p.add(path, "must be an IPv4 network without host bits, got %s: did you mean %s?", prefix, prefix.Masked())
		default:
			return true
		}
		return false
	}
	if private("network", cfg.Network) && private("bridgeNetwork", cfg.BridgeNetwork) && cfg.Network.Overlaps(cfg.BridgeNetwork) {
		p.add("bridgeNetwork", "%s overlaps network %s: choose one outside of it", cfg.BridgeNetwork, cfg.Network)
	}
	for i, pool := range cfg.Pools {
		path := fmt.Sprintf("pools[%d].subnet", i)
		if !private(path, pool.Subnet) {
			continue
		}
		if cfg.Network.IsValid() && (!cfg.Network.Overlaps(pool.Subnet) || pool.Subnet.Bits() < cfg.Network.Bits()) {
			p.add(path, "%s is not part of network %s", pool.Subnet, cfg.Network)
		}
		if pool.Subnet.Bits() > 27 {
			p.add(path, "%s is too small: use a /27 or larger", pool.Subnet)
		}
		for j, other := range cfg.Pools[:i] {
			if other.Subnet.IsValid() && other.Subnet.Overlaps(pool.Subnet) {
				p.add(path, "%s overlaps pools[%d].subnet %s: give each pool a subnet of its own", pool.Subnet, j, other.Subnet)
			}
		}
	}
	if len(cfg.Operators) == 0 {
		p.add("operators", "missing: list the public networks from which the stack is operated (where `pulumi up` runs), such as 203.0.113.0/24")
	}
	for i, prefix := range cfg.Operators {
		if prefix.IsValid() && prefix.Bits() == 0 {
			p.add(fmt.Sprintf("operators[%d]", i), "%s would open the APIs to the whole internet: name your own networks", prefix)
		}
	}
}

const (
	// minPatience leaves a machine time to boot, maxPatience keeps an update from waiting for a machine that nobody mends.
	minPatience = time.Minute
	maxPatience = 2 * time.Hour
	// minLifetime leaves room for a renewal and a few retries of it.
	minLifetime = 30 * time.Second
	// maxLifetime keeps what leaks from being good for long.
	maxLifetime = 365 * 24 * time.Hour
)

func (p *problems) checkLifetimes(l Lifetimes) {
	for _, lifetime := range []struct {
		name  string
		value time.Duration
	}{
		{"certificate", l.Certificate}, {"login", l.Login}, {"token", l.Token}, {"tokenMax", l.TokenMax}, {"workload", l.Workload},
	} {
		path := "lifetimes." + lifetime.name
		switch {
		case lifetime.value < minLifetime || lifetime.value > maxLifetime:
			p.add(path, "must be a duration between %s and %s such as 90s, 30m or 24h, got %s: below, there is no time to renew and to retry",
				minLifetime, maxLifetime, lifetime.value)
		case lifetime.value%time.Second != 0:
			p.add(path, "must be whole seconds, got %s", lifetime.value)
		}
	}
	if l.Token > l.Login {
		// They are leases of the login and go with it. consul-template notices at the latest when it renews them, at a third
		// of their life; a login that nobody renews lives on for at least a third of its own.
		p.add("lifetimes.token", "%s is longer than lifetimes.login, %s: Consul tokens end with the login they were issued to, "+
			"and would be replaced too late; choose a shorter one, or a longer login", l.Token, l.Login)
	}
	for _, token := range []struct {
		name  string
		value time.Duration
	}{{"login", l.Login}, {"token", l.Token}} {
		if token.value > l.TokenMax {
			p.add("lifetimes."+token.name, "%s is longer than lifetimes.tokenMax, %s, up to which a token can be renewed: choose a shorter one, or a longer tokenMax",
				token.value, l.TokenMax)
		}
	}
}

func (p *problems) checkGenerations(g Generations) {
	for _, generation := range []struct {
		name  string
		value int
	}{
		{"consulGossip", g.ConsulGossip}, {"nomadGossip", g.NomadGossip},
		{"consulEngine", g.ConsulEngine}, {"nomadEngine", g.NomadEngine},
		{"intermediates", g.Intermediates}, {"root", g.Root}, {"machineRoot", g.MachineRoot},
	} {
		if generation.value < 1 {
			p.add("generations."+generation.name, "must be 1 or more, got %d: generations are counted from 1", generation.value)
		}
	}
	switch {
	case g.Root < 1 || g.MachineRoot < 1:
	case g.MachineRoot > g.Root:
		p.add("generations.machineRoot", "must not be greater than generations.root, %d, got %d: there is no such root; "+
			"raise root first, and machineRoot once all certificates have been renewed", g.Root, g.MachineRoot)
	case g.MachineRoot < g.Root-1:
		p.add("generations.machineRoot", "must be generations.root, %d, or the one before it, got %d: machines would not be able to "+
			"verify what root %d signs; set root to %d until machineRoot is %d and the machines are replaced",
			g.Root, g.MachineRoot, g.Root, g.MachineRoot+1, g.MachineRoot+1)
	}
}

func (p *problems) checkMirror(mirror *Mirror) {
	if !strings.HasPrefix(mirror.URL, "https://") && !strings.HasPrefix(mirror.URL, "http://") {
		p.add("mirror.url", "must be an http or https address, got %q", mirror.URL)
	}
	if mirror.KeyFile == "" {
		p.add("mirror.keyFile", "missing: set it to the file with the ASCII-armoured public key that signs the repository")
	} else if err := mirror.readKey(); err != nil {
		p.add("mirror.keyFile", "cannot be read: %v", err)
	}
}

// roleList are the roles in a sentence.
func roleList() string {
	var names []string
	for _, role := range machine.AllRoles() {
		names = append(names, string(role))
	}
	return strings.Join(names, ", ")
}
