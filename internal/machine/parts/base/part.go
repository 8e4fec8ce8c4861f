// Package base is what a machine is before it runs anything: the root certificate that it trusts, the names that it knows
// without DNS, its resolver, and the guard of the metadata address.
package base

import (
	"embed"
	"fmt"
	"strings"

	"hashistack/internal/cloudinit"
	"hashistack/internal/machine"
	"hashistack/internal/names"
)

//go:embed all:rootfs
var files embed.FS

// Part is on every machine.
var Part = machine.Part{Name: "base", FS: files, On: on}

func on(c machine.Cluster, m machine.Machine) machine.Contents {
	return machine.Contents{
		Packages: []cloudinit.Package{{Name: "systemd-resolved"}, {Name: "nftables"}},
		Files: []cloudinit.File{
			{Path: names.CAFile, Permissions: "0644", Content: c.CA},
			{Path: "/etc/hosts", Permissions: "0644", Content: hosts(c, m)},
		},
		Commands: [][]string{
			// Its package starts it before D-Bus, which is running already, has heard that it may take its name.
			{"systemctl", "restart", "systemd-resolved.service"},
			// Machines need no SSH. It would listen on the private network too, where the cloud's firewalls do not apply, and there
			// jobs reach it. Hetzner makes a root password where it has no key.
			{"systemctl", "mask", "--now", "ssh.service", "ssh.socket"},
			{"passwd", "--lock", "root"},
		},
		Units: []machine.Unit{{Name: "metadata-guard.service", Started: true}},
	}
}

// hosts is /etc/hosts. All Vault servers have one name there, and so have all Nomad servers: clients try one address
// after the other.
func hosts(c machine.Cluster, m machine.Machine) string {
	var b strings.Builder
	line := func(address string, names ...string) { fmt.Fprintf(&b, "%s\t%s\n", address, strings.Join(names, " ")) }

	line("127.0.0.1", names.Localhost)
	line("::1", names.Localhost, "ip6-localhost", "ip6-loopback")
	line(m.Private.String(), m.Name)
	for _, peer := range m.InOrder(c.Servers[machine.RoleVault]) {
		line(peer.Address.String(), names.VaultName)
	}
	for _, peer := range m.InOrder(c.Servers[machine.RoleNomadServer]) {
		line(peer.Address.String(), names.NomadName)
	}
	return b.String()
}
