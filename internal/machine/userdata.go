package machine

import (
	"fmt"
	"slices"
	"strings"

	"hashistack/internal/cloudinit"
)

// UserData renders the cloud-init user-data of machine m in cluster c. It reports every problem of its input at once.
func UserData(c Cluster, m Machine) (string, error) {
	config, err := cloudConfig(c, m)
	if err != nil {
		return "", fmt.Errorf("user-data of machine %q: %w", m.Name, err)
	}
	userData, err := config.Render()
	if err != nil {
		return "", fmt.Errorf("user-data of machine %q: %w", m.Name, err)
	}
	return userData, nil
}

func cloudConfig(c Cluster, m Machine) (cloudinit.Config, error) {
	c, m = c.withDefaults(), m.withDefaults()
	if err := check(c, m); err != nil {
		return cloudinit.Config{}, err
	}
	files, err := files(c, m)
	if err != nil {
		return cloudinit.Config{}, err
	}
	no := false
	return cloudinit.Config{
		Hostname: m.Name,
		// Ours holds the addresses of Vault, and cloud-init's would replace it on every boot.
		ManageEtcHosts: &no,
		WriteFiles:     files,
		Apt:            &cloudinit.Apt{Sources: sources(c)},
		PackageUpdate:  true,
		Packages:       packages(c, m),
		RunCommands:    commands(m),
	}, nil
}

func sources(c Cluster) map[string]cloudinit.AptSource {
	return map[string]cloudinit.AptSource{"hashicorp.list": {
		Source: "deb [signed-by=$KEY_FILE] " + c.Packages.Repository + " bookworm main",
		Key:    c.Packages.Key,
	}}
}

// packages are the products at their pinned versions, and from Debian what they need. Vault is everywhere because
// Vault Agent is part of it.
func packages(c Cluster, m Machine) []cloudinit.Package {
	p := []cloudinit.Package{
		{Name: "systemd-resolved"},
		{Name: "nftables"},
		{Name: "consul", Version: c.Packages.Consul},
		{Name: "consul-template", Version: c.Packages.ConsulTemplate},
		{Name: "vault", Version: c.Packages.Vault},
	}
	if m.has(RoleVault) {
		p = append(p, cloudinit.Package{Name: "logrotate"}) // of the audit logs
	}
	if m.runsNomad() {
		p = append(p, cloudinit.Package{Name: "nomad", Version: c.Packages.Nomad})
	}
	if m.has(RoleNomadClient) {
		p = append(p,
			cloudinit.Package{Name: "containernetworking-plugins"}, // Nomad's bridge network
			cloudinit.Package{Name: "busybox"})                     // the userland of tasks in a chroot
	}
	return p
}

// commands run once all packages and files are there. Nothing waits: a unit that lacks an input stays down until
// consul-template has written it.
func commands(m Machine) [][]string {
	start := []string{"metadata-guard.service", "vault-agent.service", "consul-template.path", "consul-template-login.path", "credentials.timer"}
	enable := []string{"consul.service"}
	hold := []string{"consul", "consul-template", "vault"}
	if m.has(RoleVault) {
		start = append(start, "vault.service")
	}
	if m.runsNomad() {
		enable = append(enable, "nomad.service")
		hold = append(hold, "nomad")
	}
	return [][]string{
		// A new version is a new machine, never an upgrade in the night.
		slices.Concat([]string{"apt-mark", "hold"}, hold),
		{"systemd-tmpfiles", "--create"},
		{"systemctl", "daemon-reload"},
		// Its package starts it before D-Bus, which is running already, has heard that it may take its name.
		{"systemctl", "restart", "systemd-resolved.service"},
		slices.Concat([]string{"systemctl", "enable"}, start, enable),
		slices.Concat([]string{"systemctl", "start", "--no-block"}, start),
	}
}

// hosts is /etc/hosts. All Vault servers have one name there, and so have all Nomad servers: clients try one address
// after the other.
func hosts(c Cluster, m Machine) string {
	var b strings.Builder
	line := func(address string, names ...string) { fmt.Fprintf(&b, "%s\t%s\n", address, strings.Join(names, " ")) }

	line("127.0.0.1", "localhost")
	line("::1", "localhost", "ip6-localhost", "ip6-loopback")
	line(m.Private.String(), m.Name)
	for _, peer := range inOrder(c.Vault, m) {
		line(peer.Address.String(), VaultName)
	}
	for _, peer := range inOrder(c.NomadServers, m) {
		line(peer.Address.String(), NomadName)
	}
	return b.String()
}

// inOrder puts the machine itself first, if it is one of the peers. Elsewhere the list starts at a place that differs
// from machine to machine, so that one peer that hangs does not hold up all of them.
func inOrder(peers []Peer, m Machine) []Peer {
	if len(peers) == 0 {
		return nil
	}
	first := slices.Index(peers, Peer{m.Name, m.Private})
	if first < 0 {
		address := m.Private.As4()
		first = int(address[3]) % len(peers)
	}
	return slices.Concat(peers[first:], peers[:first])
}
