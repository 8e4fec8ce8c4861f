package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"hashistack/localcloud/host"
)

// facts are what a host is like.
type facts struct {
	system, version, systemName string // ID, VERSION_ID and PRETTY_NAME of os-release
	root                        bool
	docker                      dockerFacts
	cgroup2                     bool // and no v1 beside it
	bridgeFilter                bool
	working                     bool // a local cloud of the name runs
	owner                       host.Owner
	states                      []string // of what is there of the name, each once
	listeners                   []listener
	uses                        []host.Use
	disks                       []disk
	memory, available           uint64 // bytes
	dropping                    []string
	unknown                     []error
}

type dockerFacts struct {
	remote   string
	version  string // empty if no engine answers
	root     string
	security []string
}

type disk struct {
	path string
	free uint64
}

const cgroup2Magic = 0x63677270 // statfs(2)

func gather(ctx context.Context, t target) facts {
	f := facts{root: os.Geteuid() == 0, bridgeFilter: host.HasBridgeFilter(ctx)}
	failed := func(err error) {
		if err != nil {
			f.unknown = append(f.unknown, err)
		}
	}
	release, err := os.ReadFile("/etc/os-release")
	failed(err)
	f.system, f.version, f.systemName = osRelease(string(release))

	var mounted syscall.Statfs_t
	failed(syscall.Statfs("/sys/fs/cgroup", &mounted))
	f.cgroup2 = mounted.Type == cgroup2Magic

	f.owner, f.working, err = host.Working(t.name)
	failed(err)
	if !f.working {
		f.owner = host.Owner{}
	}
	f.docker, err = askDocker(ctx)
	failed(err)
	if f.docker.version != "" {
		f.states, err = statesOf(ctx, t.name)
		failed(err)
	}
	f.listeners, err = listeners(slices.Concat(t.loopback, t.gateway))
	failed(err)
	if _, err := exec.LookPath("ip"); err == nil { // if not, tools/setup installs it, and `serve` looks again
		f.uses, err = host.Uses(ctx, t.name)
		failed(err)
	}
	f.disks, err = disks(f.docker.root)
	failed(err)
	info, err := os.ReadFile("/proc/meminfo")
	failed(err)
	f.memory, f.available = memory(string(info))
	f.dropping, err = dropping(ctx)
	failed(err)
	return f
}

func osRelease(content string) (id, version, name string) {
	fields := map[string]string{}
	for line := range strings.Lines(content) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		fields[key] = strings.Trim(value, `"'`)
	}
	if name = fields["PRETTY_NAME"]; name == "" {
		name = "an unknown system"
	}
	return fields["ID"], fields["VERSION_ID"], name
}

// output runs a command for what it prints.
func output(ctx context.Context, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", name, args[0], err, strings.TrimSpace(said.String()))
	}
	return out.Bytes(), nil
}

// askDocker leaves the version empty when no engine answers: tools/setup takes care of that.
func askDocker(ctx context.Context) (dockerFacts, error) {
	d := dockerFacts{root: "/var/lib/docker"}
	if at := os.Getenv("DOCKER_HOST"); at != "" && !strings.HasPrefix(at, "unix://") {
		d.remote = at
		return d, nil
	}
	out, err := output(ctx, "docker", "info", "--format", "{{json .}}")
	if err != nil {
		return d, nil //nolint:nilerr // see above
	}
	var info struct {
		ServerVersion   string
		DockerRootDir   string
		SecurityOptions []string
	}
	if err := json.Unmarshal(out, &info); err != nil {
		return d, fmt.Errorf("read the output of `docker info`: %w", err)
	}
	d.version, d.security = info.ServerVersion, info.SecurityOptions
	if info.DockerRootDir != "" {
		d.root = info.DockerRootDir
	}
	return d, nil
}

// statesOf lists which states made what there is of the local cloud of a name.
func statesOf(ctx context.Context, name string) ([]string, error) {
	var all []string
	for _, list := range [][]string{{"ps", "--all"}, {"volume", "ls"}, {"network", "ls"}} {
		out, err := output(ctx, "docker", append(list, "--filter", "label=hashistack.localcloud="+name,
			"--format", `{{.Label "hashistack.localcloud.state"}}.`)...)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(out)) {
			state := strings.TrimSuffix(strings.TrimSpace(line), ".")
			if state == "" {
				state = "an older version"
			}
			if !slices.Contains(all, state) {
				all = append(all, state)
			}
		}
	}
	return all, nil
}

// disks are the file systems that the caches and Docker's data lie on, or will.
func disks(docker string) ([]disk, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("find the cache folder: %w", err)
	}
	var all []disk
	seen := map[syscall.Fsid]bool{}
	for _, path := range []string{cache, docker} {
		var s syscall.Statfs_t
		for errors.Is(syscall.Statfs(path, &s), fs.ErrNotExist) {
			path = filepath.Dir(path) // not there yet
		}
		if !seen[s.Fsid] {
			seen[s.Fsid] = true
			all = append(all, disk{path, s.Bavail * uint64(s.Bsize)}) //nolint:gosec // the size of a block is not negative
		}
	}
	return all, nil
}

// memory reads /proc/meminfo, in bytes.
func memory(info string) (total, available uint64) {
	for line := range strings.Lines(info) {
		var kib uint64
		if _, err := fmt.Sscanf(line, "MemTotal: %d kB", &kib); err == nil {
			total = kib << 10
		}
		if _, err := fmt.Sscanf(line, "MemAvailable: %d kB", &kib); err == nil {
			available = kib << 10
		}
	}
	return total, available
}

// dropping names the firewall chains on the way of machines that drop what no rule allows.
func dropping(ctx context.Context) ([]string, error) {
	if _, err := exec.LookPath("nft"); err != nil || os.Geteuid() != 0 {
		return nil, nil // nobody to ask, or nobody who may
	}
	out, err := output(ctx, "nft", "--json", "list", "ruleset")
	if err != nil {
		return nil, err
	}
	return droppingOf(out)
}

func droppingOf(ruleset []byte) ([]string, error) {
	var list struct {
		All []struct {
			Chain struct{ Family, Table, Name, Hook, Policy string }
		} `json:"nftables"`
	}
	if err := json.Unmarshal(ruleset, &list); err != nil {
		return nil, fmt.Errorf("read the output of `nft list ruleset`: %w", err)
	}
	has := func(part string) bool {
		for _, item := range list.All {
			if strings.HasPrefix(item.Chain.Name, part) {
				return true
			}
		}
		return false
	}
	var all []string
	for _, item := range list.All {
		c := item.Chain
		name := strings.Join([]string{c.Family, c.Table, c.Name}, " ")
		switch {
		case c.Hook != "input" && c.Hook != "forward":
		case c.Table == "firewalld" && strings.HasPrefix(c.Name, "filter_"): // its policy is accept, and its last rule rejects
			all = append(all, name)
		case c.Policy != "drop":
		case c.Hook == "forward" && c.Table == "filter" && has("DOCKER-"): // Docker's own, which lets its bridges through
		case c.Table == "filter" && has("ufw-"):
			all = append(all, name+" (ufw)")
		default:
			all = append(all, name)
		}
	}
	return all, nil
}
