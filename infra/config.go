package infra

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"

	"hashistack/internal/machine"
)

// namespace is the prefix of our keys in a stack's config file: the project's name, as Pulumi has it by default.
const namespace = "hashistack"

// Config is a stack's configuration: all of the keys "hashistack:…" in Pulumi.<stack>.yaml.
type Config struct {
	// Location is Hetzner's name of the place where the machines stand, for example "fsn1". Consul and Nomad use it
	// as the name of their datacenter.
	Location string `json:"location"`
	// Region is Nomad's region. Default "global".
	Region string `json:"region"`
	// Network is the private network that all machines share.
	Network netip.Prefix `json:"network"`
	// BridgeNetwork is where Nomad gives addresses to allocations in bridge mode. It exists on each machine by
	// itself and must not overlap Network. Default 172.26.64.0/20, Nomad's own.
	BridgeNetwork netip.Prefix `json:"bridgeNetwork"`
	// Operators are the public networks from which the APIs of Vault, Consul and Nomad can be reached.
	Operators []netip.Prefix `json:"operators"`
	// Pools are the machines, in groups of like ones.
	Pools []Pool `json:"pools"`
	// Image is Hetzner's name of the machines' operating system. Default "debian-12".
	Image string `json:"image"`
	// Mirror replaces HashiCorp's package repository. Optional.
	Mirror *Mirror `json:"mirror"`
	// Versions are the Debian versions of the products. Each has a default.
	Versions Versions `json:"versions"`
	// Seal names a key management service that unseals Vault. Without it Vault has key shares, which the stack
	// keeps, encrypted, and unseals with.
	Seal *Seal `json:"seal"`
	// Lifetimes are those of what Vault issues. Each has a default.
	Lifetimes Lifetimes `json:"lifetimes"`
	// Patience is how long an update waits for a machine: to become a healthy member of its clusters, to leave them, or to be
	// back. Default 10m.
	Patience time.Duration `json:"patience"`
	// Generations number the credentials that nobody renews by himself. Each has the default 1.
	Generations Generations `json:"generations"`
}

// Pool is a group of machines that differ in nothing but name and address.
type Pool struct {
	// Name is the pool's; its machines are called <name>-1, <name>-2 and so on.
	Name string `json:"name"`
	// Count is how many machines it has: 1, 3 or 5 if one of its roles takes part in a quorum.
	Count int `json:"count"`
	// Type is Hetzner's server type, for example "cpx32".
	Type string `json:"type"`
	// Subnet is the pool's own part of the private network. Machine i has the address subnet + 10 + i.
	Subnet netip.Prefix `json:"subnet"`
	// Roles are the duties of each machine.
	Roles []machine.Role `json:"roles"`
	// NodePool is the Nomad node pool that its clients join. Default "default".
	NodePool string `json:"nodePool"`
	// Meta is Nomad client metadata, for constraints in job specifications.
	Meta map[string]string `json:"meta"`
	// Open are further ports that anyone may reach on the pool's machines, for example "80" or "30000-32000".
	Open []string `json:"open"`
}

// Mirror is a package repository laid out as HashiCorp's.
type Mirror struct {
	// URL is the root of the repository, without "dists".
	URL string `json:"url"`
	// KeyFile is the path, relative to the project, of the ASCII-armoured OpenPGP key that signs it.
	KeyFile string `json:"keyFile"`

	key string // the content of KeyFile
}

// Versions are Debian versions, as `apt-cache madison` prints them.
type Versions struct {
	Consul         string `json:"consul"`
	Nomad          string `json:"nomad"`
	Vault          string `json:"vault"`
	ConsulTemplate string `json:"consulTemplate"`
}

// Lifetimes are how long things live that Vault issues and machines renew, as Go writes durations: "24h", "90s". They are
// settings of Vault: another value changes no machine, and holds from each thing's next issue on.
type Lifetimes struct {
	// Certificate is that of every certificate of Consul, Nomad and Vault. Default 24h.
	Certificate time.Duration `json:"certificate"`
	// Login is how long a machine's Vault token lives without renewal. Default 24h.
	Login time.Duration `json:"login"`
	// Token is how long a machine's Consul tokens live without renewal. Default 24h.
	Token time.Duration `json:"token"`
	// TokenMax is how long a machine's Vault token and its Consul tokens can be renewed. Default 720h.
	TokenMax time.Duration `json:"tokenMax"`
	// Workload is how long a task's Vault token lives without renewal. Default 30m.
	Workload time.Duration `json:"workload"`
}

// Generations are the numbers of the credentials that live until somebody wants others: with another number the next update
// makes a new one, brings it into use and does away with the old one, in an order that nobody notices.
type Generations struct {
	// ConsulGossip and NomadGossip are those of the gossip keys.
	ConsulGossip int `json:"consulGossip"`
	NomadGossip  int `json:"nomadGossip"`
	// ConsulEngine and NomadEngine are those of the tokens with which Vault's secret engines issue others.
	ConsulEngine int `json:"consulEngine"`
	NomadEngine  int `json:"nomadEngine"`
	// Intermediates is that of the certificate authorities in Vault.
	Intermediates int `json:"intermediates"`
	// Root is that of the authority above them, MachineRoot that of the one that machines carry from their first boot: another
	// one is another machine. It is the same or the one before, because machines verify what the next root signs by the
	// certificate that theirs has signed for it.
	Root        int `json:"root"`
	MachineRoot int `json:"machineRoot"`
}

// Seal is a key management service, with the parameters of Vault's seal stanza of that type.
type Seal struct {
	Type       string            `json:"type"`
	Parameters map[string]string `json:"parameters"`
}

// defaults is what a stack that says nothing gets. The versions were tested together.
func defaults() Config {
	return Config{
		Region:        "global",
		BridgeNetwork: netip.MustParsePrefix("172.26.64.0/20"),
		Image:         "debian-12",
		Versions: Versions{
			Consul:         "1.22.3-1",
			Nomad:          "1.11.3-1",
			Vault:          "1.21.0-1",
			ConsulTemplate: "0.41.1-1",
		},
		Patience: 10 * time.Minute,
		Lifetimes: Lifetimes{
			Certificate: 24 * time.Hour,
			Login:       24 * time.Hour,
			Token:       24 * time.Hour,
			TokenMax:    30 * 24 * time.Hour,
			Workload:    30 * time.Minute,
		},
		Generations: Generations{
			ConsulGossip: 1, NomadGossip: 1, ConsulEngine: 1, NomadEngine: 1, Intermediates: 1, Root: 1, MachineRoot: 1,
		},
	}
}

// LoadConfig decodes and checks a stack's configuration. raw is what Pulumi hands to a program: every key with its
// namespace, structured values as JSON. The error lists all the problems there are, each with its path and its remedy.
func LoadConfig(raw map[string]string) (*Config, error) {
	cfg := defaults()
	var found problems
	found.decode(raw, &cfg)
	found.check(&cfg)
	if raw["hcloud:token"] == "" && os.Getenv("HCLOUD_TOKEN") == "" {
		found.add("hcloud:token", "missing: run `pulumi config set --secret hcloud:token …` with an API token of the "+
			"Hetzner Cloud project (read & write), or export HCLOUD_TOKEN")
	}
	return &cfg, found.err()
}

// decode fills cfg from the keys of our namespace. Keys that Config does not have are problems, wherever they stand.
func (p *problems) decode(raw map[string]string, cfg *Config) {
	values := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(raw)) {
		name, ours := strings.CutPrefix(key, namespace+":")
		if !ours {
			continue
		}
		// Pulumi stores structured values as JSON and plain ones as they are.
		var value any
		if err := json.Unmarshal([]byte(raw[key]), &value); err != nil {
			value = raw[key]
		}
		values[name] = value
	}
	decoder, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		Result:      cfg,
		TagName:     "json",
		ErrorUnused: true,
		MatchName:   func(key, field string) bool { return key == field },
		DecodeHook: mapstructure.ComposeDecodeHookFunc(
			mapstructure.TextUnmarshallerHookFunc(), durationHook, wholeHook),
	})
	if err != nil {
		p.add("", "%v", err)
		return
	}
	for _, err := range leaves(decoder.Decode(values)) {
		var at *mapstructure.DecodeError
		if !errors.As(err, &at) {
			p.add("", "%v", err)
			continue
		}
		keys, unknown := strings.CutPrefix(at.Unwrap().Error(), "has invalid keys: ")
		if !unknown {
			p.add(at.Name(), "%v", at.Unwrap())
			continue
		}
		for key := range strings.SplitSeq(keys, ", ") {
			p.add(strings.TrimPrefix(at.Name()+"."+key, "."),
				"unknown key: remove it or correct its spelling; README.md lists the keys")
		}
	}
}

// durationHook reads durations as Go writes them.
func durationHook(from, to reflect.Type, value any) (any, error) {
	if from.Kind() != reflect.String || to != reflect.TypeFor[time.Duration]() {
		return value, nil
	}
	duration, err := time.ParseDuration(value.(string))
	if err != nil {
		return nil, fmt.Errorf("must be a duration such as 90s, 30m or 24h, got %q", value)
	}
	return duration, nil
}

// wholeHook refuses fractions where whole numbers are wanted. JSON has one kind of number, and mapstructure would cut it.
func wholeHook(from, to reflect.Type, value any) (any, error) {
	if from.Kind() != reflect.Float64 || to.Kind() != reflect.Int {
		return value, nil
	}
	if number := value.(float64); number != math.Trunc(number) {
		return nil, fmt.Errorf("must be a whole number, got %v", number)
	}
	return value, nil
}

// leaves lists the single errors in a tree of joined and wrapped ones. It walks the tree node by node, which errors.As
// cannot: it stops at the first match.
//
//nolint:errorlint // see above
func leaves(err error) []error {
	switch node := err.(type) {
	case nil:
		return nil
	case *mapstructure.DecodeError:
		return []error{node}
	case interface{ Unwrap() []error }:
		var all []error
		for _, err := range node.Unwrap() {
			all = append(all, leaves(err)...)
		}
		return all
	case interface{ Unwrap() error }:
		return leaves(node.Unwrap())
	}
	return []error{err}
}

const (
	// maxPool is how many servers Hetzner spreads in one placement group.
	maxPool = 10
	// firstHost is the offset of a pool's first machine in its subnet: Hetzner keeps the lowest addresses.
	firstHost = 10
)

var (
	hostname  = regexp.MustCompile(`^[a-z][a-z0-9-]{0,40}[a-z0-9]$`)
	portRange = regexp.MustCompile(`^[0-9]{1,5}(-[0-9]{1,5})?$`)
)

func (m *Mirror) readKey() error {
	key, err := os.ReadFile(m.KeyFile)
	m.key = string(key)
	return err
}

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
