package infra

import (
	"fmt"
	"maps"
	"slices"

	"hashistack/components"
)

// offered refuses what the cloud does not have. The patterns of the settings have seen to the rest: here a name is well formed, and
// nobody sells what it names.
func (c *Config) offered(offers components.Offers) error {
	var found problems
	if !slices.Contains(offers.Locations, c.Location) {
		found.add("location", "must be one of Hetzner's locations, %s, got %q", commas(slices.Sorted(slices.Values(offers.Locations))), c.Location)
		return found.err() // what it has is not known
	}
	has := func(serverType string) bool { return slices.Contains(offers.Types[serverType], c.Location) }
	here := slices.DeleteFunc(slices.Sorted(maps.Keys(offers.Types)), func(name string) bool { return !has(name) })
	for i, pool := range c.Pools {
		if !has(pool.Type) {
			found.add(fmt.Sprintf("pools[%d].type", i), "Hetzner has no server type %q in %s: choose one of %s", pool.Type, c.Location, commas(here))
		}
	}
	return found.err()
}
