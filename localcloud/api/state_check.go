package api

import (
	"errors"
	"fmt"
	"net/netip"

	"hashistack/localcloud/label"
	"hashistack/localcloud/store"
)

// check reports what in a loaded state no request could have brought about. Everything else takes the state for good: names
// that are looked up exist, and addresses are addresses.
func (s *state) check() error {
	problems := []error{
		checkRows("server", &s.Servers, s.LastID, (*server).check),
		checkRows("network", &s.Networks, s.LastID, (*network).check),
		checkRows("firewall", &s.Firewalls, s.LastID, (*firewall).check),
		checkRows("primary IP", &s.PrimaryIPs, s.LastID, (*primaryIP).check),
		checkRows("placement group", &s.PlacementGroups, s.LastID, func(*placementGroup) error { return nil }),
		checkRows("SSH key", &s.SSHKeys, s.LastID, func(*sshKey) error { return nil }),
		checkRows("action", &s.Actions, s.LastID, func(*action) error { return nil }),
	}
	return errors.Join(problems...)
}

func checkRows[R store.Row](kind string, table *store.Table[R], lastID int64, check func(R) error) error {
	var problems []error
	for _, row := range table.All() {
		id := row.Head().ID
		if id < 1 || id > lastID {
			problems = append(problems, fmt.Errorf("%s %d: its ID is not between 1 and last_id, %d", kind, id, lastID))
		}
		if err := label.Validate(row.Head().Labels); err != nil {
			problems = append(problems, fmt.Errorf("%s %d: %w", kind, id, err))
		}
		if err := check(row); err != nil {
			problems = append(problems, fmt.Errorf("%s %d: %w", kind, id, err))
		}
	}
	return errors.Join(problems...)
}

func (s *server) check() error {
	_, typed := serverTypes.table.Get(s.Type)
	_, imaged := images.table.Get(s.Image)
	_, located := locations.table.Get(s.Location)
	if !typed || !imaged || !located {
		return fmt.Errorf("there is no server type %d, image %d or location %d", s.Type, s.Image, s.Location)
	}
	for _, p := range s.Networks {
		if !p.IP.Is4() {
			return fmt.Errorf("its address in network %d is %s: want one of IPv4", p.Network, p.IP)
		}
	}
	return nil
}

func (n *network) check() error {
	ranges := []netip.Prefix{n.IPRange}
	for _, s := range n.Subnets {
		ranges = append(ranges, s.IPRange)
	}
	for _, r := range n.Routes {
		ranges = append(ranges, r.Destination)
		if !r.Gateway.Is4() {
			return fmt.Errorf("the gateway of %s is %s: want an address of IPv4", r.Destination, r.Gateway)
		}
	}
	for _, p := range ranges {
		if !p.Addr().Is4() || p != p.Masked() {
			return fmt.Errorf("%s is no IPv4 network", p)
		}
	}
	return nil
}

func (f *firewall) check() error {
	for _, rule := range f.Rules {
		for _, source := range rule.SourceIPs {
			if _, err := netip.ParsePrefix(source); err != nil {
				return fmt.Errorf("source of a rule: %w", err)
			}
		}
	}
	for _, selector := range f.Selectors {
		if _, err := label.Parse(selector); err != nil {
			return err
		}
	}
	return nil
}

func (ip *primaryIP) check() error {
	if _, located := locations.table.Get(ip.Location); !located {
		return fmt.Errorf("there is no location %d", ip.Location)
	}
	var err error
	switch ip.Type {
	case ipv4:
		_, err = netip.ParseAddr(ip.IP)
	case ipv6:
		_, err = netip.ParsePrefix(ip.IP)
	default:
		err = fmt.Errorf("its type is %q: want ipv4 or ipv6", ip.Type)
	}
	return err
}
