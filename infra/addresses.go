package infra

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// These are the limits of networks.

var (
	// rfc1918 are the only ranges that Hetzner's networks may use (https://docs.hetzner.cloud, "Create a Network").
	rfc1918 = prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
	// shared is for the addresses of carriers, RFC 6598. Machines have none, so that allocations may use it.
	shared = netip.MustParsePrefix("100.64.0.0/10")
	// examples are for texts alone, RFC 5737: no machine has such an address.
	exampleRanges = prefixes("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
	// unroutable are ranges from which no packet comes over the internet, RFC 6890. 198.18.0.0/15 would be one of them: the
	// local cloud is reached from there.
	unroutable = append(prefixes("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4", shared.String()), rfc1918...)

	// publicGateway is where Hetzner's machines send what goes to the internet: a route for it into a private network would
	// take them off the internet (https://docs.hetzner.cloud, "Networks", reserved addresses).
	publicGateway = netip.MustParseAddr("172.31.1.1")
)

func prefixes(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		all[i] = netip.MustParsePrefix(text)
	}
	return all
}

// within tells whether a network lies inside of one of the ranges.
func within(ranges []netip.Prefix, network netip.Prefix) bool {
	return slices.ContainsFunc(ranges, func(r netip.Prefix) bool { return r.Bits() <= network.Bits() && r.Contains(network.Addr()) })
}

// ipv4Network refuses what is not the address of an IPv4 network.
var ipv4Network = limit[netip.Prefix]{"an IPv4 network", func(value netip.Prefix) error {
	switch {
	case !value.IsValid():
		return errors.New("missing: set it to an IPv4 network such as 10.0.0.0/16")
	case !value.Addr().Is4():
		return fmt.Errorf("must be an IPv4 network such as 10.0.0.0/16, got %s: Hetzner's private networks have no IPv6", value)
	case value != value.Masked():
		return fmt.Errorf("must be an IPv4 network without host bits, got %s: did you mean %s?", value, value.Masked())
	}
	return nil
}}

// roomy refuses IPv4 networks with fewer addresses than one of this many bits has.
func roomy(bits int) limit[netip.Prefix] {
	return limit[netip.Prefix]{fmt.Sprintf("an IPv4 network, /%d or larger", bits), func(value netip.Prefix) error {
		if err := ipv4Network.test(value); err != nil {
			return err
		}
		if value.Bits() > bits {
			return fmt.Errorf("%s is too small: use a /%d or larger", value, bits)
		}
		return nil
	}}
}

// privateNetwork refuses networks outside of some ranges, of fewer addresses than one of this many bits, and with Hetzner's
// gateway in them.
func privateNetwork(says string, ranges []netip.Prefix, bits int) limit[netip.Prefix] {
	size := roomy(bits)
	says = fmt.Sprintf("an IPv4 network of %s, /%d or larger, without %s", says, bits, publicGateway)
	return limit[netip.Prefix]{says, func(value netip.Prefix) error {
		if err := size.test(value); err != nil {
			return err
		}
		switch {
		case !within(ranges, value):
			return fmt.Errorf("must be %s, got %s: choose a part of %s", says, value, ranges[0])
		case value.Contains(publicGateway):
			return fmt.Errorf("%s holds %s, through which Hetzner's machines reach the internet: choose a part of %s", value, publicGateway, ranges[0])
		}
		return nil
	}}
}

// largestOperator is the shortest prefix of an operators' network: nobody holds more addresses in one piece.
const largestOperator = 8

// publicNetwork refuses networks from which nobody reaches the machines' public addresses, and such as are no one's own.
var publicNetwork = limit[netip.Prefix]{
	fmt.Sprintf("a public IPv4 network of yours, /%d or smaller; a single address is a /32", largestOperator),
	func(value netip.Prefix) error {
		switch {
		case !value.IsValid():
			return errors.New("missing: name a public network of yours, such as that of your office or your VPN")
		case value.Bits() == 0:
			return fmt.Errorf("%s would open the APIs to the whole internet: name your own networks", value)
		case !value.Addr().Is4():
			return fmt.Errorf("must be an IPv4 network, got %s: machines have no public IPv6 address, so nobody would reach them from there", value)
		case value != value.Masked():
			return fmt.Errorf("must be a network without host bits, got %s: did you mean %s, or the address %s/32?",
				value, value.Masked(), value.Addr())
		case value.Bits() < largestOperator:
			return fmt.Errorf("%s would open the APIs to a good part of the internet: name your own networks", value)
		case within(exampleRanges, value):
			return fmt.Errorf("%s is an example, of addresses that nobody has (RFC 5737): put your own network in its place", value)
		case within(unroutable, value):
			return fmt.Errorf("%s is no public network, and machines are reached on their public addresses: "+
				"name the address that your packets have on the internet", value)
		}
		return nil
	},
}
