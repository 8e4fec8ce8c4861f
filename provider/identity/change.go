package identity

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"hashistack/provider/internal/check"
)

// anew is the way to what a stack cannot become.
const anew = `Set it back. If it has to change, bring up a second stack and move there (RUNBOOK.md, "Moving to another stack")`

// compareStack finds what would make another stack of the one that is there.
func compareStack(was, is Args, c *check.Problems) {
	for _, fixed := range []struct{ property, was, is, because string }{
		{"location", was.Location, is.Location, "every machine and every public address would be replaced at once"},
		{"region", was.Region, is.Region, "Nomad keeps jobs and servers by region, and would begin anew"},
		{"network", was.Network, is.Network, "Hetzner replaces a network with all that is in it"},
	} {
		if c.Known(fixed.property) && fixed.was != fixed.is {
			c.Add(fixed.property, "must stay %s, got %s: %s. %s", fixed.was, fixed.is, fixed.because, anew)
		}
	}
	if !c.Known("pools") {
		return
	}
	for _, name := range sorted(was.Pools) {
		before := was.Pools[name]
		now, stays := is.Pools[name]
		switch {
		case len(before.Roles) > 0 && !stays:
			c.Add("pools."+name, "must stay, the pools are now %s: its machines hold the data of %s, which would go with them. %s",
				strings.Join(sorted(is.Pools), ", "), strings.Join(before.Roles, ", "), anew)
		case len(before.Roles) > 0:
			compareQuorum(name, before, now, c)
		case stays && before.Subnet != now.Subnet:
			c.Add(at(name, "subnet"), "must stay %s, got %s: a subnet cannot be replaced while machines are in it. Set it back. For another subnet, "+
				"remove the pool and add one with another name", before.Subnet, now.Subnet)
		}
	}
	for _, name := range sorted(is.Pools) {
		if _, old := was.Pools[name]; !old {
			unused(name, is.Pools[name], was.Pools, c)
		}
	}
}

// compareQuorum finds what would take the quorum, or its data, away from the machines of a pool.
func compareQuorum(name string, was, is Pool, c *check.Problems) {
	lost := slices.DeleteFunc(slices.Clone(was.Roles), func(role string) bool { return slices.Contains(is.Roles, role) })
	if len(lost) > 0 {
		c.Add(at(name, "roles"), "must keep %s, which the machines hold the data of. %s", strings.Join(lost, ", "), anew)
	}
	if was.Subnet != is.Subnet {
		c.Add(at(name, "subnet"), "must stay %s, got %s: the servers are known to all machines by their addresses. %s", was.Subnet, is.Subnet, anew)
		return
	}
	if len(lost) == len(was.Roles) {
		return // it has no servers any more
	}
	both := min(len(was.Servers), len(is.Servers))
	switch from, to := len(was.Servers), len(is.Servers); {
	case !slices.Equal(was.Servers[:both], is.Servers[:both]):
		c.Add(at(name, "servers"), "must stay at %s, got %s: all machines know the servers by their addresses. %s",
			strings.Join(was.Servers, ", "), strings.Join(is.Servers, ", "), anew)
	case from == to:
	case from == 1:
		c.Add(at(name, "servers"), "must stay 1, got %d: a server's configuration names the others, so that the only one would be replaced, "+
			"and what it knows would go with it. %s", to, anew)
	case to == 1:
		c.Add(at(name, "servers"), "must be 3 or 5, got 1, and there are %d: the last server would be replaced when no other is left "+
			"that knows what it knows. %s", from, anew)
	}
}

// unused finds a new pool that is given the subnet of one that was there before. Pulumi makes the new subnet before it removes the
// old one, and Hetzner has no two that overlap.
func unused(name string, pool Pool, was map[string]Pool, c *check.Problems) {
	subnet, err := netip.ParsePrefix(pool.Subnet)
	if err != nil {
		return // not known yet
	}
	for _, other := range sorted(was) {
		taken, err := netip.ParsePrefix(was[other].Subnet)
		if err == nil && taken.Overlaps(subnet) && len(was[other].Roles) == 0 {
			c.Add(at(name, "subnet"), "%s belongs to pool %s (%s), whose machines are still in it. Give the new pool another subnet, and one update adds it "+
				"and removes the old one; or remove pool %[2]s in one update, and add %[4]s in the next", subnet, other, taken, name)
		}
	}
}

func at(pool, property string) string { return "pools." + pool + "." + property }

func sorted[V any](of map[string]V) []string { return slices.Sorted(maps.Keys(of)) }
