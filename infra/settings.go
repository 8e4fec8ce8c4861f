package infra

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"hashistack/internal/machine"
)

// This file declares every key of a stack's configuration. Each struct stands before the table of its keys. The table
// says what a key is, which values are good, and its default. README.md and Pulumi.yaml are made from it. Every text needs a
// pattern (patterns.go): that of the product which gets it.
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
	VaultKeys     VaultKeys      `json:"vaultKeys"`
	Lifetimes     Lifetimes      `json:"lifetimes"`
	Patience      time.Duration  `json:"patience"`
	Via           string         `json:"via"` // empty: each product's first server
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
			says: "Where the machines stand. Consul and Nomad use it as the name of their datacenter",
			must: needed(matching(locationName, "one of Hetzner's locations (`fsn1`, `nbg1`, `hel1`, `ash`, `hil`, `sin`)",
				": locations are written in lower-case letters and digits"), "set it to a Hetzner location such as fsn1, nbg1 or hel1"),
			example: "fsn1",
		},
		setting[string]{
			key: "region", field: &c.Region,
			says: "Nomad's region",
			must: matching(regionName, "1 to 50 letters, digits and dashes, the first and the last no dash",
				": it is part of the names on certificates, such as server.global.nomad"), defaultTo: "global",
		},
		setting[netip.Prefix]{
			key: "network", field: &c.Network,
			says: "The private network that all machines share",
			must: privateNetwork("RFC 1918", rfc1918, 24), example: netip.MustParsePrefix("10.0.0.0/16"),
		},
		setting[netip.Prefix]{
			key: "bridgeNetwork", field: &c.BridgeNetwork,
			says: "Where Nomad gives addresses to allocations in bridge mode. Every machine has this network for itself",
			// Of /31 and /32 CNI's host-local has no address to give.
			must:      privateNetwork("RFC 1918 or 6598", slices.Concat(rfc1918, []netip.Prefix{shared}), 30),
			defaultTo: netip.MustParsePrefix("172.26.64.0/20"), // Nomad's own default
		},
		rule{"`bridgeNetwork` lies outside of `network`.", c.bridgeOutside},
		rule{"The `subnet` of a pool is part of `network`, and no two pools share addresses.", c.subnetsInside},
		list[netip.Prefix]{
			key: "operators", field: &c.Operators,
			says:    "The public networks from which the APIs of Vault, Consul and Nomad can be reached. The example is where the local cloud is reached from",
			missing: "list the public networks from which the stack is operated (where `pulumi up` runs): an office, a VPN, CI runners",
			each:    publicNetwork, example: []netip.Prefix{netip.MustParsePrefix("198.18.0.1/32")}, // the local cloud's
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
		rule{"The machines of a pool fit in its `subnet`.", c.machinesFit},
		rule{"No pool's `name` begins with that of another: Consul's rules match names by prefix.", c.poolNames},
		rule{fmt.Sprintf("All pools together have at most %d machines: Hetzner attaches no more to a network.", mostMachines), c.attachable},
		setting[string]{
			key: "image", field: &c.Image,
			says: "The machines' operating system",
			must: imageName, defaultTo: debian12,
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
		rule{"`vaultKeys.pgpKeyFiles` needs a `seal`: without one the stack itself unseals every machine that it replaces, and has to read the unseal keys.", c.readableKeys},
		group{
			key: "vaultKeys", of: c.VaultKeys.settings(),
			says: "The keys that Vault gives out when it is initialised: unseal keys, or recovery keys if a `seal` unseals it",
			more: "They are in the stack's encrypted state, and fixed from then on: another number is refused in the preview. Recovery keys " +
				"can be encrypted for the people who keep them, by Vault itself, so that the state holds what only they can read. Vault does " +
				"that for OpenPGP keys; it knows no age keys.",
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
		setting[string]{
			key: "via", field: &c.Via,
			says: "The server through which an update changes what is in Vault, Consul and Nomad. Set it while the first one is away or sealed",
			must: optional(matching(hostname, "the name of a machine", ": machines are called `<pool>-<number>`")), without: "the first server of each", example: "server-2",
		},
		rule{"`via` is a machine with one of the roles " + and(quoted(machine.QuorumRoles())) + ".", c.viaServer},
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

var roomForPool = roomy(27)

func (p *Pool) settings() table {
	return table{
		setting[string]{
			key: "name", field: &p.Name,
			says: "The pool's name. Its machines are called `<name>-1`, `<name>-2` and so on",
			must: needed(matching(hostname, "2 to 42 lower-case letters, digits and dashes, the first a letter, the last no dash",
				": the machines' host names begin with it"), "name the pool"), example: "server",
		},
		setting[int]{
			key: "count", field: &p.Count,
			says: "How many machines the pool has",
			must: oneTo(mostMachines, "Hetzner attaches no more to a network; use fewer, larger machines, or a second stack"), example: 3,
		},
		setting[string]{
			key: "type", field: &p.Type,
			says: "The machines' size",
			must: needed(matching(serverType, "a Hetzner server type", ": server types are written in lower-case letters and digits, such as cpx32"),
				"set it to a Hetzner server type such as cpx32"), example: "cpx32",
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
			must: optional(nodePool), without: "`default`, which Nomad has", example: "batch",
		},
		pairs{
			key: "meta", field: &p.Meta,
			says: "Metadata of the pool's Nomad clients, for constraints in job specifications",
			must: "names of letters, digits, dashes and underscores with single dots between them, and values on one line",
			each: metadata, room: 1024, without: "none", example: map[string]string{"disk": "fast"},
		},
		list[string]{
			key: "open", field: &p.Open,
			says: "Further ports that anyone may reach on the pool's machines",
			each: ports, without: "none", example: []string{"80", "443"},
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
	debian := matching(debianVersion, "a Debian version such as `1.22.3-1`", ": `apt-cache madison` lists those of a package")
	return table{
		setting[string]{key: "consul", field: &v.Consul, says: "Consul's package", must: debian, defaultTo: "1.22.3-1"},
		setting[string]{key: "nomad", field: &v.Nomad, says: "Nomad's package", must: debian, defaultTo: "1.11.3-1"},
		rule{"`nomad` is " + firstNomad + " or later.", v.introducesClients},
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
			must: needed(packageRepository, "set it to the address of the repository"), example: "https://packages.example/hashicorp",
		},
		setting[string]{
			key: "keyFile", field: &m.KeyFile,
			says:    "The file with the ASCII-armoured OpenPGP key that signs the repository",
			must:    needed(filePath, "set it to the file with the ASCII-armoured public key that signs the repository"),
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
			must: sealType, example: "transit",
		},
		pairs{
			key: "parameters", field: &s.Parameters,
			says:    "The parameters of Vault's seal stanza of that type",
			must:    "the parameters that Vault documents, but for names of files and `tls_skip_verify`; values on one line",
			missing: "set what Vault needs to reach the service",
			each:    s.parameter, room: parametersRoom,
			example: map[string]string{
				"address": "https://vault.example:8200", "token": "a-periodic-token", "key_name": "unseal", "mount_path": "transit/",
			},
		},
		rule{"A seal has all that Vault needs to reach the service: on a machine it finds nothing else, no environment and no instance metadata.", s.complete},
	}
}

// VaultKeys are the keys that Vault gives out once.
type VaultKeys struct {
	Shares      int      `json:"shares"`
	Threshold   int      `json:"threshold"`
	PGPKeyFiles []string `json:"pgpKeyFiles"`

	pgpKeys []string // the contents of PGPKeyFiles as Vault takes them
}

func (v *VaultKeys) settings() table {
	const byVault = "Vault splits a key into at most 255 shares"
	return table{
		setting[int]{
			key: "shares", field: &v.Shares,
			says: "How many keys there are. All lie in the same state, so more than one are safer only if they are encrypted for several people",
			must: oneTo(255, byVault), defaultTo: 1,
		},
		rule{"`threshold` is at most `shares`, and at least 2 if there are several.", v.enoughShares},
		setting[int]{
			key: "threshold", field: &v.Threshold,
			says: "How many of the keys are needed together",
			must: oneTo(255, byVault), defaultTo: 1,
		},
		rule{"`pgpKeyFiles` has as many files as there are `shares`, each with a key of its own.", v.sharesForAll},
		list[string]{
			key: "pgpKeyFiles", field: &v.PGPKeyFiles,
			says: "Files with the OpenPGP public key of each person who keeps a recovery key, as `gpg --export` writes them, with `--armor`, without, or in base64",
			each: filePath, without: "nobody's: the state has the keys in plain text, encrypted with the rest of it", example: []string{"alice.asc"},
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
	// Below, there is no time to renew and to retry. At most a year: what leaks must not be good for long.
	lifetime := func(longest time.Duration, reason string) limit[time.Duration] {
		return wholeSeconds(lasting(30*time.Second, longest, "90s, 30m or 24h", reason))
	}
	const (
		year     = 365 * 24 * time.Hour
		tooLong  = "below, there is no time to renew and to retry; above, what leaks is good for too long"
		vaultMax = 768 * time.Hour // of every mount, unless it is tuned: Vault cuts longer periods silently
	)
	return table{
		setting[time.Duration]{
			key: "certificate", field: &l.Certificate,
			says: "Every certificate of Consul, Nomad and Vault. At most half of the year in which any `pulumi up` renews the authorities, " +
				"because Vault issues no certificate that would outlive its authority",
			must: lifetime(longestCertificate, "below, there is no time to renew and to retry; above, Vault would refuse to issue "+
				"in an authority's last year, as it refuses what would outlive its authority, before there was half a year to renew it with `pulumi up`"),
			defaultTo: 24 * time.Hour,
		},
		setting[time.Duration]{
			key: "login", field: &l.Login,
			says: "A machine's Vault token, without renewal",
			must: lifetime(year, tooLong), defaultTo: 24 * time.Hour,
		},
		setting[time.Duration]{
			key: "token", field: &l.Token,
			says: "A machine's Consul tokens, without renewal",
			must: lifetime(year, tooLong), defaultTo: 24 * time.Hour,
		},
		setting[time.Duration]{
			key: "tokenMax", field: &l.TokenMax,
			says: "A machine's Vault token and its Consul tokens, with all renewals",
			must: lifetime(year, tooLong), defaultTo: 30 * 24 * time.Hour,
		},
		setting[time.Duration]{
			key: "workload", field: &l.Workload,
			says: "A task's Vault token, without renewal",
			must: lifetime(vaultMax, "below, there is no time to renew and to retry; above, Vault cuts it to 768h"), defaultTo: 30 * time.Minute,
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
		return setting[int]{key: key, field: field, says: says, must: oneTo(1000, "generations are counted from 1"), defaultTo: 1}
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
