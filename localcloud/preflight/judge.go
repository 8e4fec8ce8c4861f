package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"hashistack/localcloud/host"
)

// finding is something that a person should know. One that stops has to be put right first.
type finding struct {
	stops bool
	text  string
}

const (
	// oldestDocker has private cgroup namespaces, and is what Debian 12 has.
	oldestDocker = "20.10"
	// A first build needs room for modules, build cache, tools and image. Later only machines grow.
	firstDisk, laterDisk = 15, 3 // GiB
	// Five machines take a third of a GiB each, and linking the largest tool three.
	leastMemory = 4 // GiB
)

// judge says everything that is wrong with a host for a local cloud.
func judge(f facts, t target) []finding {
	var all []finding
	stop := func(format string, args ...any) { all = append(all, finding{true, fmt.Sprintf(format, args...)}) }
	note := func(format string, args ...any) { all = append(all, finding{false, fmt.Sprintf(format, args...)}) }

	switch {
	case f.system != "debian":
		stop("this is %s: the machines' image is built from the package sources of a Debian host; use Debian 12, or a virtual machine with it", f.systemName)
	case f.version != "12":
		note("this is %s: the local cloud is tried on Debian 12", f.systemName)
	}
	if !f.root {
		stop("this is not root: networks, firewall and image need it; use `sudo -E make up`, or a root shell")
	}
	judgeDocker(f.docker, stop)
	if f.cgroup2 {
		note("this host has cgroup v2 only: the local cloud is tried with v1 and with both")
	}
	if !f.bridgeFilter {
		stop("the kernel has no br_netfilter, without which the cloud firewall does not see traffic between machines, and " +
			"`modprobe br_netfilter` would not find it: run `apt-get install kmod linux-image-$(uname -r)`, or boot a kernel that has it")
	}
	mine := f.owner.State == t.identity // ours runs: its ports and networks are taken by itself
	judgeOthers(f, t, stop)
	if !mine {
		judgePorts(f.listeners, t, stop)
	}
	for _, p := range []netip.Prefix{t.public, t.private} {
		if err := host.Free(p, f.uses); err != nil {
			stop("%v", err)
		}
	}
	judgeRoom(f, t, stop, note)
	for _, chain := range f.dropping {
		note("the firewall chain %s drops what no rule allows: if machines cannot fetch packages or reach each other, %s", chain,
			remedy(chain, host.BridgePrefix(t.name)))
	}
	for _, err := range f.unknown {
		note("could not be found out: %v", err)
	}
	return all
}

func judgeDocker(d dockerFacts, stop func(string, ...any)) {
	switch {
	case d.remote != "":
		stop("Docker is at %s (DOCKER_HOST), on another machine or out of sight: the local cloud needs the engine of this host; run `unset DOCKER_HOST`", d.remote)
	case d.version == "":
		return // tools/setup installs and starts it, or says why it cannot
	case older(d.version, oldestDocker):
		stop("Docker is %s: want %s or newer; upgrade it, or remove it and let tools/setup install Debian's", d.version, oldestDocker)
	}
	for _, option := range []string{"rootless", "userns"} {
		if slices.ContainsFunc(d.security, func(s string) bool { return strings.HasPrefix(s, "name="+option) }) {
			stop("Docker runs with %s: its containers cannot be machines, which mount and set addresses; use an engine that runs as root without it", option)
		}
	}
}

// older compares versions by their first two numbers.
func older(version, than string) bool {
	numbers := func(v string) []int {
		var all []int
		for _, part := range strings.SplitN(v, ".", 3)[:min(2, strings.Count(v, ".")+1)] {
			n, _ := strconv.Atoi(part) // no number is 0, the oldest
			all = append(all, n)
		}
		return all
	}
	return slices.Compare(numbers(version), numbers(than)) < 0
}

func judgeOthers(f facts, t target, stop func(string, ...any)) {
	if f.working && f.owner.State != t.identity {
		stop("%v", &host.TakenError{Name: t.name, Owner: f.owner})
		return
	}
	for _, state := range f.states {
		if state != t.identity {
			stop("there are machines, disks or networks of another local cloud %q, of %s: run `make down` in the checkout that this belongs to; "+
				"if that is gone, `make down` here names the command that removes them", t.name, state)
		}
	}
}

func judgePorts(listeners []listener, t target, stop func(string, ...any)) {
	gateway := t.public.Masked().Addr().Next()
	for address, ports := range map[netip.Addr][]uint16{netip.AddrFrom4([4]byte{127, 0, 0, 1}): t.loopback, gateway: t.gateway} {
		for _, l := range listeners {
			at := l.at.Addr().Unmap()
			if slices.Contains(ports, l.at.Port()) && (at == address || at.IsUnspecified()) {
				stop("port %d is taken by %s, which listens on %s: stop it; the local cloud needs the ports %v", l.at.Port(), l.process, l.at,
					slices.Concat(t.loopback, t.gateway))
			}
		}
	}
}

func judgeRoom(f facts, t target, stop, note func(string, ...any)) {
	want, what := uint64(firstDisk), "the first run builds tools and image"
	if t.built {
		want, what = laterDisk, "machines write there"
	}
	for _, d := range f.disks {
		if d.free < want<<30 {
			stop("%s has %.1f GiB free: want %d (%s); make room, or point XDG_CACHE_HOME or Docker's data-root elsewhere", d.path, float64(d.free)/(1<<30), want, what)
		}
	}
	switch {
	case f.memory > 0 && f.memory < leastMemory<<30:
		stop("this host has %.1f GiB of memory: want %d for five machines and the tools", float64(f.memory)/(1<<30), leastMemory)
	case f.memory > 0 && f.available < leastMemory<<30 && !f.working:
		note("%.1f GiB of memory are available: machines are slow, or killed, with less than %d", float64(f.available)/(1<<30), leastMemory)
	}
}

// remedy lets the bridges through a firewall, in its own words.
func remedy(chain, bridges string) string {
	switch {
	case strings.Contains(chain, "ufw"):
		return fmt.Sprintf("run `ufw allow in on %spublic` and `ufw default allow routed`", bridges)
	case strings.Contains(chain, "firewalld"):
		return fmt.Sprintf("run `firewall-cmd --zone=trusted --add-interface=%spublic`", bridges)
	}
	return fmt.Sprintf("add `iifname \"%s*\" accept` to it", bridges)
}
