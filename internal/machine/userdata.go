package machine

import (
	"fmt"
	"slices"

	"hashistack/internal/cloudinit"
)

// UserData renders the cloud-init user-data of machine m, which has the parts, in cluster c, and says what it is made of, see
// Digests. It reports every problem of its input at once.
func (parts Parts) UserData(c Cluster, m Machine) (userData string, digests map[string]string, err error) {
	config, err := parts.CloudConfig(c, m)
	if err == nil {
		userData, err = config.Render()
	}
	if err == nil {
		digests, err = Digests(config)
	}
	if err != nil {
		return "", nil, fmt.Errorf("user-data of machine %q: %w", m.Name, err)
	}
	return userData, digests, nil
}

// CloudConfig is what UserData renders.
func (parts Parts) CloudConfig(c Cluster, m Machine) (cloudinit.Config, error) {
	c, m = c.withDefaults(), m.withDefaults()
	if err := parts.check(c, m); err != nil {
		return cloudinit.Config{}, err
	}
	all, from := parts.contents(c, m)
	files, err := parts.files(all, from)
	if err != nil {
		return cloudinit.Config{}, err
	}
	no := false
	config := cloudinit.Config{
		Hostname: m.Name,
		// Ours holds the addresses of Vault, and cloud-init's would replace it on every boot.
		ManageEtcHosts: &no,
		Apt:            &cloudinit.Apt{Sources: sources(c)},
		PackageUpdate:  true,
		Packages:       all.Packages,
		RunCommands:    all.commands(),
	}
	for _, file := range files {
		config.WriteFiles = append(config.WriteFiles, file.File)
	}
	return config, nil
}

func sources(c Cluster) map[string]cloudinit.AptSource {
	return map[string]cloudinit.AptSource{"hashicorp.list": {
		Source: "deb [signed-by=$KEY_FILE] " + c.Packages.Repository + " bookworm main",
		Key:    c.Packages.Key,
	}}
}

// commands run once all packages and files are there. Nothing waits: a unit that lacks an input stays down until
// consul-template has written it.
func (c Contents) commands() [][]string {
	// A new version is a new machine, never an upgrade in the night.
	hold := []string{"apt-mark", "hold"}
	for _, p := range c.Packages {
		if p.Version != "" {
			hold = append(hold, p.Name)
		}
	}
	var start, enable []string
	for _, unit := range c.Units {
		if unit.Started {
			start = append(start, unit.Name)
		} else {
			enable = append(enable, unit.Name)
		}
	}
	return slices.Concat(
		[][]string{hold, {"systemd-tmpfiles", "--create"}, {"systemctl", "daemon-reload"}},
		c.Commands,
		[][]string{
			slices.Concat([]string{"systemctl", "enable"}, start, enable),
			slices.Concat([]string{"systemctl", "start", "--no-block"}, start),
		},
	)
}
