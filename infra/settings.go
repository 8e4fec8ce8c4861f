package infra

import (
	"net/netip"
	"regexp"
	"slices"
	"time"

	"hashistack/internal/machine"
)

// This file declares every key of a stack's configuration. Each struct stands before the table of its keys. The table
// says what a key is, which values are good, and its default. README.md and Pulumi.yaml are made from it.
//
// To add a key: add the field to its struct, and an entry to the table below the struct. If the value has to fit other keys,
// add a rule to the table, and its check to rules.go. Then run `go test ./infra -update`.

// Config is a stack's configuration: all of the keys "hashistack:…" in Pulumi.<stack>.yaml.
type Config struct {
	Location      string         `json:"location"`
	Region        string         `json:"region"`
	Network       netip.Prefix   `json:"network"`
	BridgeNetwork netip.Prefix   `json:"bridgeNetwork"`
	Operators     []netip.Prefix `json:"operators"`
	Pools         []Pool         `json:"pools"`
	Image         string         `json:"image"`
	Versions      Versions       `json:"versions"`
	Mirror        *Mirror        `json:"mirror"` // nil: HashiCorp's own repository
	Seal          *Seal          `json:"seal"`   // nil: Vault has key shares
	Lifetimes     Lifetimes      `json:"lifetimes"`
	Patience      time.Duration  `json:"patience"`
	Generations   Generations    `json:"generations"`
}

// settings are in the order in which they are documented and checked. A rule that stands before a key is checked first:
// of several problems of one value only the first is reported.
func (c *Config) settings() table { return slices.Concat(c.place(), c.machines(), c.operation()) }

// place is where the stack is, and how it is reached.
func (c *Config) place() table {
	return table{
		setting[string]{
			key: "location", field: &c.Location,
			says:    "Where the machines stand. Consul and Nomad use it as the name of their datacenter",
			must:    present("one of Hetzner's locations (`fsn1`, `nbg1`, `hel1`, `ash`, `hil`, `sin`)", "set it to a Hetzner location such as fsn1, nbg1 or hel1"),
			example: "fsn1",
		},
		setting[string]{
			key: "region", field: &c.Region,
			says: "Nomad's region",
			must: anything[string]("a name"), defaultTo: "global",
		},
		setting[netip.Prefix]{
			key: "network", field: &c.Network,
			says: "The private network that all machines share",
			must: ipv4Network, example: netip.MustParsePrefix("10.0.0.0/16"),
		},
		setting[netip.Prefix]{
			key: "bridgeNetwork", field: &c.BridgeNetwork,
			says: "Where Nomad gives addresses to allocations in bridge mode. Every machine has this network for itself",
			must: ipv4Network, defaultTo: netip.MustParsePrefix("172.26.64.0/20"), // Nomad's own default
		},
		rule{"`bridgeNetwork` lies outside of `network`.", c.bridgeOutside},
		rule{"The `subnet` of a pool is part of `network`, and no two pools share addresses.", c.subnetsInside},
		list[netip.Prefix]{
			key: "operators", field: &c.Operators,
			says:    "The public networks from which the APIs of Vault, Consul and Nomad can be reached",
			missing: "list the public networks from which the stack is operated (where `pulumi up` runs), such as 203.0.113.0/24",
			each:    notTheInternet, example: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")},
		},
	}
}

// machines are the machines, and what is installed on them.
func (c *Config) machines() table {
	return table{
		rule{"Each of the roles " + and(quoted(machine.QuorumRoles())) +
			" belongs to one pool, of 1, 3 or 5 machines: they elect a leader by majority.", c.quorums},
		objects[Pool]{
			key: "pools", field: &c.Pools,
			says:    "The machines, in groups of like ones",
			missing: "a stack needs at least machines with the roles " + and(machine.QuorumRoles()),
			of:      (*Pool).settings,
		},
		rule{"No pool's `name` begins with that of another: Consul's rules match names by prefix.", c.poolNames},
		setting[string]{
			key: "image", field: &c.Image,
			says: "The machines' operating system",
			must: anything[string]("Hetzner's name of an image of Debian 12"), defaultTo: "debian-12",
		},
		group{
			key: "versions", of: c.Versions.settings(),
			says: "The versions of the products",
			more: "The defaults were tested together.",
		},
		object[Mirror]{
			key: "mirror", field: &c.Mirror,
			says:    "A package repository in place of HashiCorp's, with the same layout",
			without: "HashiCorp's own", of: (*Mirror).settings,
		},
	}
}

// operation is how the running platform is kept.
func (c *Config) operation() table {
	return table{
		object[Seal]{
			key: "seal", field: &c.Seal,
			says:    "A key management service that unseals Vault",
			without: "key shares, which the stack keeps encrypted and unseals with", of: (*Seal).settings,
		},
		group{
			key: "lifetimes", of: c.Lifetimes.settings(),
			says: "How long things live that Vault issues and machines renew",
			more: "Durations are written as Go does: `90s`, `30m`, `24h`. These are settings of Vault: another value changes no machine, " +
				"and holds from the next issue on.",
		},
		setting[time.Duration]{
			key: "patience", field: &c.Patience,
			says: "How long an update waits for a machine to become a healthy member of its clusters, to leave them, or to be back",
			// Longer, and an update would wait for a machine that nobody mends.
			must:      lasting(time.Minute, 2*time.Hour, "5m", "a machine takes about a minute to boot"),
			defaultTo: 10 * time.Minute,
		},
		group{
			key: "generations", of: c.Generations.settings(),
			says: "The numbers of the credentials that nothing renews: they live until somebody raises their number",
			more: "A number that is raised makes the next `pulumi up` put a new credential in the place of the old one, without a gap " +
				"and, but for `machineRoot`, without a new machine.",
		},
	}
}

// Pool is a group of machines that differ in nothing but name and address.
type Pool struct {
	Name     string            `json:"name"`
	Count    int               `json:"count"`
	Type     string            `json:"type"`
	Subnet   netip.Prefix      `json:"subnet"`
	Roles    []machine.Role    `json:"roles"`
	NodePool string            `json:"nodePool"` // empty: Nomad's own, "default"
	Meta     map[string]string `json:"meta"`
	Open     []string          `json:"open"`
}

var (
	hostname  = regexp.MustCompile(`^[a-z][a-z0-9-]{0,40}[a-z0-9]$`)
	portRange = regexp.MustCompile(`^[0-9]{1,5}(-[0-9]{1,5})?$`)

	roomForPool = roomy(27)
)

func (p *Pool) settings() table {
	return table{
		setting[string]{
			key: "name", field: &p.Name,
			says: "The pool's name. Its machines are called `<name>-1`, `<name>-2` and so on",
			must: matching(hostname, "a host name of lower-case letters, digits and dashes that starts with a letter"), example: "server",
		},
		setting[int]{
			key: "count", field: &p.Count,
			says: "How many machines the pool has",
			// Hetzner spreads at most ten servers of a placement group.
			must: fromTo(1, 10, "use several pools for more"), example: 3,
		},
		setting[string]{
			key: "type", field: &p.Type,
			says: "The machines' size",
			must: present("a Hetzner server type", "set it to a Hetzner server type such as cpx32"), example: "cpx32",
		},
		setting[netip.Prefix]{
			key: "subnet", field: &p.Subnet,
			says: "The pool's part of the private network. Machine 1 has the address `subnet` + 10, the others follow",
			must: roomForPool, example: netip.MustParsePrefix("10.0.1.0/24"),
		},
		list[machine.Role]{
			key: "roles", field: &p.Roles,
			says:    "What each machine does",
			missing: "give it at least one of " + commas(machine.AllRoles()),
			each:    oneOf(machine.AllRoles()), example: machine.QuorumRoles(),
		},
		setting[string]{
			key: "nodePool", field: &p.NodePool,
			says: "The Nomad node pool that the pool's clients join",
			must: anything[string]("a name"), without: "`default`, which Nomad has", example: "batch",
		},
		setting[map[string]string]{
			key: "meta", field: &p.Meta,
			says: "Metadata of the pool's Nomad clients, for constraints in job specifications",
			must: anything[map[string]string]("names and values"), without: "none", example: map[string]string{"disk": "fast"},
		},
		list[string]{
			key: "open", field: &p.Open,
			says: "Further ports that anyone may reach on the pool's machines",
			each: matching(portRange, "a port or a range of ports such as 443 or 30000-32000"), without: "none", example: []string{"80", "443"},
		},
	}
}

// Versions are Debian versions of the products' packages.
type Versions struct {
	Consul         string `json:"consul"`
	Nomad          string `json:"nomad"`
	Vault          string `json:"vault"`
	ConsulTemplate string `json:"consulTemplate"`
}

func (v *Versions) settings() table {
	debian := anything[string]("a Debian version, as `apt-cache madison` prints it")
	return table{
		setting[string]{key: "consul", field: &v.Consul, says: "Consul's package", must: debian, defaultTo: "1.22.3-1"},
		setting[string]{key: "nomad", field: &v.Nomad, says: "Nomad's package", must: debian, defaultTo: "1.11.3-1"},
		setting[string]{key: "vault", field: &v.Vault, says: "Vault's package", must: debian, defaultTo: "1.21.0-1"},
		setting[string]{key: "consulTemplate", field: &v.ConsulTemplate, says: "consul-template's package", must: debian, defaultTo: "0.41.1-1"},
	}
}

// Mirror is a package repository laid out as HashiCorp's.
type Mirror struct {
	URL     string `json:"url"`
	KeyFile string `json:"keyFile"`

	key string // the content of KeyFile
}

func (m *Mirror) settings() table {
	return table{
		setting[string]{
			key: "url", field: &m.URL,
			says: "The root of the repository, without `dists`",
			must: matching(regexp.MustCompile(`^https?://`), "an http or https address"), example: "https://packages.example/hashicorp",
		},
		setting[string]{
			key: "keyFile", field: &m.KeyFile,
			says:    "The file with the ASCII-armoured OpenPGP key that signs the repository",
			must:    present("a path relative to the project", "set it to the file with the ASCII-armoured public key that signs the repository"),
			example: "mirror.asc",
		},
	}
}

// Seal is a key management service, with the parameters of Vault's seal stanza of that type.
type Seal struct {
	Type       string            `json:"type"`
	Parameters map[string]string `json:"parameters"`
}

func (s *Seal) settings() table {
	return table{
		setting[string]{
			key: "type", field: &s.Type,
			says: "The kind of service",
			must: oneOf(machine.SealTypes()), example: "transit",
		},
		setting[map[string]string]{
			key: "parameters", field: &s.Parameters,
			says: "The parameters of Vault's seal stanza of that type",
			must: anything[map[string]string]("names and values"), without: "none",
			example: map[string]string{"address": "https://vault.example:8200", "key_name": "unseal", "mount_path": "transit/"},
		},
	}
}

// Lifetimes are how long things live that Vault issues and machines renew.
type Lifetimes struct {
	Certificate time.Duration `json:"certificate"`
	Login       time.Duration `json:"login"`
	Token       time.Duration `json:"token"`
	TokenMax    time.Duration `json:"tokenMax"`
	Workload    time.Duration `json:"workload"`
}

func (l *Lifetimes) settings() table {
	// At most a year: what leaks must not be good for long.
	lifetime := wholeSeconds(lasting(30*time.Second, 365*24*time.Hour, "90s, 30m or 24h", "below, there is no time to renew and to retry"))
	return table{
		setting[time.Duration]{
			key: "certificate", field: &l.Certificate,
			says: "Every certificate of Consul, Nomad and Vault",
			must: lifetime, defaultTo: 24 * time.Hour,
		},
		setting[time.Duration]{
			key: "login", field: &l.Login,
			says: "A machine's Vault token, without renewal",
			must: lifetime, defaultTo: 24 * time.Hour,
		},
		setting[time.Duration]{
			key: "token", field: &l.Token,
			says: "A machine's Consul tokens, without renewal",
			must: lifetime, defaultTo: 24 * time.Hour,
		},
		setting[time.Duration]{
			key: "tokenMax", field: &l.TokenMax,
			says: "A machine's Vault token and its Consul tokens, with all renewals",
			must: lifetime, defaultTo: 30 * 24 * time.Hour,
		},
		setting[time.Duration]{
			key: "workload", field: &l.Workload,
			says: "A task's Vault token, without renewal",
			must: lifetime, defaultTo: 30 * time.Minute,
		},
		rule{"`token` is not longer than `login`: Consul tokens end with the login that they were issued to.", l.tokenWithinLogin},
		rule{"`login` and `token` are not longer than `tokenMax`.", l.renewable},
	}
}

// Generations are the numbers of the credentials that nothing renews.
type Generations struct {
	ConsulGossip  int `json:"consulGossip"`
	NomadGossip   int `json:"nomadGossip"`
	ConsulEngine  int `json:"consulEngine"`
	NomadEngine   int `json:"nomadEngine"`
	Root          int `json:"root"`
	MachineRoot   int `json:"machineRoot"`
	Intermediates int `json:"intermediates"`
}

func (g *Generations) settings() table {
	number := func(key string, field *int, says string) setting[int] {
		return setting[int]{key: key, field: field, says: says, must: atLeast(1, "generations are counted from 1"), defaultTo: 1}
	}
	return table{
		number("consulGossip", &g.ConsulGossip, "Consul's gossip key"),
		number("nomadGossip", &g.NomadGossip, "Nomad's gossip key"),
		number("consulEngine", &g.ConsulEngine, "The management token with which Vault's Consul engine issues tokens"),
		number("nomadEngine", &g.NomadEngine, "The management token with which Vault's Nomad engine issues tokens"),
		number("root", &g.Root, "The root certificate, which signs the intermediates. The root before it certifies the new one"),
		number("machineRoot", &g.MachineRoot, "The root certificate that machines carry from their first boot. "+
			"Another one replaces the machines, one after the other"),
		number("intermediates", &g.Intermediates, "Keys and certificates of the authorities in Vault. "+
			"Certificates alone are renewed by any `pulumi up` in their last year"),
		rule{"`machineRoot` is `root` or the one before it: machines verify what the next root signs by the certificate that " +
			"their root has signed for it. So `root` is raised one step at a time.", g.rootsInStep},
	}
}
