package infra

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// These are the patterns of texts: what the product accepts that gets them. Every text of the configuration has one, because
// texts end up in files that other programs read: configurations, templates, a line of apt's sources.

var (
	// Consul lowers the case of a datacenter's name, and refuses what is not of letters, digits, dashes and underscores
	// (agent/config/builder.go). It stands in the names on certificates, which have no underscores, and whose common name,
	// client.<datacenter>.consul, has at most 64 characters (RFC 5280). Hetzner's locations are shorter by far.
	locationName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}[a-z0-9]$`)
	// Nomad refuses NUL alone (command/agent/command.go). The name stands in the names on certificates: client.<region>.nomad.
	regionName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,48}[A-Za-z0-9])?$`)
	// Machines' names are host names, nodes of Consul and Nomad and names at Hetzner: a label of DNS has 63 characters. A
	// pool's name leaves room for the number, and for what policies put before it.
	hostname = regexp.MustCompile(`^[a-z][a-z0-9-]{0,40}[a-z0-9]$`)
	// Hetzner's server types: cx23, cpx32, ccx13, cax11.
	serverType = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}[a-z0-9]$`)
	// Nomad: validNodePoolName (nomad/structs/node_pool.go).
	nodePoolName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
	// Nomad wants parts between dots (helper.IsValidInterpVariable); job specifications can name no other characters than
	// these (envRe, helper/args).
	metaName = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)
	// A Debian version is epoch, upstream version and revision (deb-version(7)).
	debianVersion = regexp.MustCompile(`^([0-9]{1,5}:)?[0-9][A-Za-z0-9.+~-]{0,62}$`)
	// A port, or two with a dash between them.
	portRange = regexp.MustCompile(`^([1-9][0-9]{0,4})(?:-([1-9][0-9]{0,4}))?$`)
	// The address of a repository stands in a line of apt's sources, which ends at a newline, is cut at spaces, has options in
	// brackets, and in which apt and cloud-init fill in what begins with a dollar sign. Everybody on a machine can read it, so
	// it has no user and no password.
	repository = regexp.MustCompile(`^https?://[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(:[0-9]{1,5})?(/[A-Za-z0-9._~+-]+)*/?$`)
	// Hetzner's labels have values like this. The stack's name is one.
	labelValue = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)
)

// debian12 is Hetzner's name of the only system that user-data is made for: names of packages, paths and the release in apt's
// sources are those of Debian 12.
const debian12 = "debian-12"

// imageName refuses other systems than Debian 12.
var imageName = limit[string]{"`" + debian12 + "`, Hetzner's name of Debian 12", func(value string) error {
	if value != debian12 {
		return fmt.Errorf("must be %s, got %s: the machines' user-data is made for Debian 12, and would not boot another system; "+
			"remove the key", debian12, shown(value))
	}
	return nil
}}

// nodePool refuses what Nomad does, and the one that every node is in.
var nodePool = limit[string]{"1 to 128 letters, digits, dashes and underscores, and not `all`", func(value string) error {
	if value == "all" {
		return errors.New(`must not be "all": that is Nomad's own node pool, which every node is in; choose another name`)
	}
	return matching(nodePoolName, "1 to 128 letters, digits, dashes and underscores such as batch", "").test(value)
}}

// ports refuses what is no port or range of ports.
var ports = limit[string]{"a port from 1 to 65535, or a range of ports", func(value string) error {
	const says = "must be a port such as 443 or a range of ports such as 30000-32000, from 1 to 65535, got %s"
	match := portRange.FindStringSubmatch(value)
	if match == nil {
		return fmt.Errorf(says, shown(value))
	}
	first, _ := strconv.Atoi(match[1]) // the pattern lets digits pass alone
	last := first
	if match[2] != "" {
		last, _ = strconv.Atoi(match[2])
	}
	switch {
	case first > 65535 || last > 65535:
		return fmt.Errorf(says, shown(value))
	case first > last:
		return fmt.Errorf("must be a range that ascends, got %s: did you mean %d-%d?", shown(value), last, first)
	}
	return nil
}}

// packageRepository refuses what cannot stand in a line of apt's sources.
var packageRepository = limit[string]{"an http or https address without user, query and spaces", func(value string) error {
	_, err := url.Parse(value)
	port := regexp.MustCompile(`^https?://[^/]*:([0-9]+)`).FindStringSubmatch(value)
	if port != nil {
		if number, _ := strconv.Atoi(port[1]); number < 1 || number > 65535 {
			err = errors.New("no such port")
		}
	}
	if err != nil || !repository.MatchString(value) || len(value) > 255 {
		return fmt.Errorf("must be an http or https address such as https://packages.example/hashicorp, of letters, digits and .-_~+ "+
			"between slashes, at most 255 characters, got %s: the repository's root stands in a line of apt's sources, which everybody "+
			"on a machine can read", shown(value))
	}
	return nil
}}

// filePath refuses what is no path of a file of the project.
var filePath = limit[string]{"a path relative to the project", func(value string) error {
	if !printable(value) || len(value) > 255 {
		return fmt.Errorf("must be the path of a file, in at most 255 printable characters, got %s", shown(value))
	}
	return nil
}}

// oneLine refuses a text that could mean more to a reader than itself: lines of its own, or an action of a template.
func oneLine(value string, most int) error {
	switch {
	case !printable(value):
		return fmt.Errorf("must be of printable characters, on one line, got %s", shown(value))
	case strings.Contains(value, "{{") || strings.Contains(value, "}}"):
		return fmt.Errorf("must have no {{ and no }}, got %s: to consul-template they are an action", shown(value))
	case len(value) > most:
		return fmt.Errorf("must have at most %d bytes, got %s", most, shown(value))
	}
	return nil
}

// armouredKey is the form of an OpenPGP public key as people exchange it (RFC 9580, section 6.2).
var armouredKey = regexp.MustCompile(`(?s)^\s*-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n.+\n-----END PGP PUBLIC KEY BLOCK-----\s*$`)

// largestKey leaves room in a machine's user-data, in which the key is.
const largestKey = 8 << 10

// publicKey refuses the content of a file that is no public key.
func publicKey(name, content string) error {
	switch {
	case len(content) > largestKey:
		return fmt.Errorf("%s has %d bytes, and the machines' user-data has room for a key of %d: export it with "+
			"`gpg --armor --export-options export-minimal --export`", shown(name), len(content), largestKey)
	case !armouredKey.MatchString(content) || strings.Count(content, "-----BEGIN") != 1 ||
		!printable(strings.NewReplacer("\n", "", "\r", "", "\t", "").Replace(content)):
		return fmt.Errorf("%s is no ASCII-armoured OpenPGP public key: export it with `gpg --armor --export`", shown(name))
	}
	return nil
}

// pairs declares a key with names and values of the user's own.
type pairs struct {
	key     string
	field   *map[string]string
	says    string
	without string
	example map[string]string
	// missing is the remedy for none, if the key is required.
	missing string
	// must is the limit of names and values, in words; each is its test for one of them, with the remedy.
	must string
	each func(name, value string) error
	// room is how many bytes all names and values may have together: they are part of the machines' user-data.
	room int
}

func (pairs) preset() {}

func (p pairs) check(found *problems, at string) {
	path := join(at, p.key)
	if len(*p.field) == 0 && p.missing != "" {
		found.add(path, "missing: %s", p.missing)
	}
	size := 0
	for _, name := range slices.Sorted(maps.Keys(*p.field)) {
		value := (*p.field)[name]
		size += len(name) + len(value)
		if err := p.each(name, value); err != nil {
			found.add(join(path, shortened(name)), "%v", err)
		}
	}
	if size > p.room {
		found.add(path, "has %d bytes, and the machines' user-data has room for %d: use fewer or shorter names and values", size, p.room)
	}
}

func (p pairs) describe() description {
	return description{
		key: p.key, field: p.field, says: p.says, without: p.without, example: p.example,
		must: fmt.Sprintf("%s; together at most %d bytes", p.must, p.room),
	}
}

// metadata refuses what Nomad does, and what a job specification could not name.
func metadata(name, value string) error {
	if !metaName.MatchString(name) || len(name) > 128 {
		return fmt.Errorf("the name must be of letters, digits, dashes and underscores, with single dots between them, such as "+
			"rack or disk.type, at most 128 characters, got %s", shown(name))
	}
	return oneLine(value, 255)
}
