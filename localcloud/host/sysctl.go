package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Settings are the kernel's settings that local clouds have changed on this host. They are shared by all local clouds,
// and kept where a reboot of the host, which undoes them, forgets them.
type Settings struct {
	// memory is the file with what they were.
	memory string
}

// change is what a setting was, and what it was changed to.
type change struct {
	Was string `json:"was"`
	Set string `json:"set"`
}

// Remembered are those of this host.
func Remembered() *Settings { return &Settings{memory: "/run/localcloud/settings.json"} }

// Set changes a setting, given as its path below /proc/sys, and remembers what it was. It does nothing if the setting has
// that value.
func (s *Settings) Set(path, value string) error {
	current, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	was := strings.TrimSpace(string(current))
	if was == value {
		return nil
	}
	if err := s.remember(path, was, value); err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(value), 0o644); err != nil { //nolint:gosec // exists already
		return fmt.Errorf("set %s to %s: %w", path, value, err)
	}
	return nil
}

func (s *Settings) remember(path, was, set string) error {
	changes, err := s.load()
	if err != nil {
		return err
	}
	if first, known := changes[path]; known {
		was = first.Was
	}
	changes[path] = change{Was: was, Set: set}
	content, err := json.Marshal(changes)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.memory), 0o755); err != nil { //nolint:gosec // no secrets
		return err
	}
	part := s.memory + ".part"
	if err := os.WriteFile(part, content, 0o644); err != nil { //nolint:gosec // no secrets
		return err
	}
	return os.Rename(part, s.memory)
}

func (s *Settings) load() (map[string]change, error) {
	changes := map[string]change{}
	content, err := os.ReadFile(s.memory)
	if errors.Is(err, fs.ErrNotExist) {
		return changes, nil
	}
	if err == nil {
		err = json.Unmarshal(content, &changes)
	}
	if err != nil {
		return nil, fmt.Errorf("read which of the kernel's settings were changed (%s): %w", s.memory, err)
	}
	return changes, nil
}

// Restore gives back what was changed, unless somebody else has changed it since, and forgets it.
func (s *Settings) Restore() error {
	changes, err := s.load()
	if err != nil {
		return err
	}
	for _, path := range slices.Sorted(maps.Keys(changes)) {
		current, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // its module was unloaded
		}
		if err != nil {
			return err
		}
		if strings.TrimSpace(string(current)) != changes[path].Set {
			continue
		}
		if err := os.WriteFile(path, []byte(changes[path].Was), 0o644); err != nil { //nolint:gosec // exists already
			return fmt.Errorf("set %s back to %s: %w", path, changes[path].Was, err)
		}
	}
	for _, path := range []string{s.memory, filepath.Dir(s.memory)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// watchers is how many inotify instances the root user of this host and of all machines may have: systemd has a handful on each
// machine, and of Linux's 128 the fifteenth machine gets none.
const watchers = 8192

// WatchFiles makes room for the inotify instances of many machines.
func (s *Settings) WatchFiles() error {
	if err := s.atLeast("/proc/sys/fs/inotify/max_user_instances", watchers); err != nil {
		return fmt.Errorf("make room for what the machines watch: %w", err)
	}
	return nil
}

// atLeast is Set for a number that may be higher.
func (s *Settings) atLeast(path string, least int) error {
	current, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if number, err := strconv.Atoi(strings.TrimSpace(string(current))); err != nil || number >= least {
		return err
	}
	return s.Set(path, strconv.Itoa(least))
}

const bridgeSettings = "/proc/sys/net/bridge"

// HasBridgeFilter tells whether the kernel can show frames on bridges to the firewall, or knows the module that can.
func HasBridgeFilter(ctx context.Context) bool {
	if _, err := os.Stat(bridgeSettings); err == nil {
		return true
	}
	return exec.CommandContext(ctx, "modprobe", "--dry-run", "--quiet", "br_netfilter").Run() == nil
}

// FilterBridges makes frames between two machines on one bridge pass the firewall. The host's other bridges are concerned
// too, so Restore undoes it. Docker before 27.3 loads the module itself.
func (s *Settings) FilterBridges(ctx context.Context) error {
	if _, err := os.Stat(bridgeSettings); errors.Is(err, fs.ErrNotExist) {
		out, err := exec.CommandContext(ctx, "modprobe", "br_netfilter").CombinedOutput()
		if err != nil {
			return fmt.Errorf("the cloud firewall needs the kernel's module br_netfilter, and `modprobe br_netfilter` failed (%w: %s): "+
				"install the modules of the running kernel, or boot one that has them", err, strings.TrimSpace(string(out)))
		}
		// Loaded, it filters at once. Before, nothing was filtered.
		for _, name := range []string{"arptables", "iptables", "ip6tables"} {
			if err := s.remember(filepath.Join(bridgeSettings, "bridge-nf-call-"+name), "0", "1"); err != nil {
				return err
			}
		}
	}
	for _, name := range []string{"iptables", "ip6tables"} {
		if err := s.Set(filepath.Join(bridgeSettings, "bridge-nf-call-"+name), "1"); err != nil {
			return fmt.Errorf("make the firewall see frames on bridges: %w", err)
		}
	}
	return nil
}
