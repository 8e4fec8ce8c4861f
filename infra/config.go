package infra

import (
	"fmt"
	"os"
	"slices"

	"hashistack/internal/machine"
)

// namespace is the prefix of our keys in a stack's config file: the project's name, as Pulumi has it by default.
const namespace = "hashistack"

// LoadConfig decodes and checks a stack's configuration. raw is what Pulumi hands to a program: every key with its
// namespace, structured values as JSON. The error lists all the problems there are, each with its path and its remedy.
func LoadConfig(raw map[string]string) (*Config, error) {
	cfg := &Config{}
	settings := cfg.settings()
	settings.preset()
	var found problems
	found.decode(raw, cfg)
	settings.check(&found, "")
	if cfg.Mirror != nil {
		found.readKey(cfg.Mirror)
	}
	found.readPGPKeys(&cfg.VaultKeys)
	if raw["hcloud:token"] == "" && os.Getenv("HCLOUD_TOKEN") == "" {
		found.add("hcloud:token", "missing: run `pulumi config set --secret hcloud:token …` with an API token of the "+
			"Hetzner Cloud project (read & write), or export HCLOUD_TOKEN")
	}
	return cfg, found.err()
}

// readKey reads the key that signs the mirror's packages: it goes to every machine.
func (p *problems) readKey(mirror *Mirror) {
	key, err := readFile(mirror.KeyFile)
	if err == nil {
		err = publicKey(mirror.KeyFile, key)
	}
	if err != nil {
		p.add("mirror.keyFile", "%v", err)
	}
	mirror.key = key
}

// readFile reads a file. Devices and pipes are none: reading them might never end.
func readFile(name string) (string, error) {
	info, err := os.Stat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", shown(name))
	}
	if err != nil {
		return "", fmt.Errorf("cannot be read: %w", err)
	}
	content, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("cannot be read: %w", err)
	}
	return string(content), nil
}

// firstHost is the offset of a pool's first machine in its subnet: Hetzner keeps the lowest addresses.
const firstHost = 10

// has tells whether the pool's machines have a role.
func (p Pool) has(role machine.Role) bool { return slices.Contains(p.Roles, role) }

// peers are the pool's machines by name and private address, which follow from the configuration alone.
func (p Pool) peers() []machine.Peer {
	peers := make([]machine.Peer, p.Count)
	address := p.Subnet.Addr()
	for range firstHost {
		address = address.Next()
	}
	for i := range peers {
		peers[i] = machine.Peer{Name: fmt.Sprintf("%s-%d", p.Name, i+1), Address: address}
		address = address.Next()
	}
	return peers
}

// with are the machines that have a role, of all pools.
func (c *Config) with(role machine.Role) []machine.Peer {
	var peers []machine.Peer
	for _, pool := range c.Pools {
		if pool.has(role) {
			peers = append(peers, pool.peers()...)
		}
	}
	return peers
}
