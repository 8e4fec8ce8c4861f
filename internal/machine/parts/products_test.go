//go:build products

package parts

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/internal/machine"
	"hashistack/internal/machine/machinetest"
	"hashistack/internal/machine/parts/nomad"
	"hashistack/internal/machine/parts/vault"
	"hashistack/internal/names"
)

// The products' own opinion of every configuration, from the pinned binaries that `tools/build` puts into .tools/bin.

// onDisk writes the files of each kind of machine below a directory of its own, which stands for the machine's / in the
// files as well, and runs the test there.
func onDisk(t *testing.T, test func(t *testing.T, root string, k kind)) {
	for name, k := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			config := k.config(t)
			root := t.TempDir()
			for _, dir := range []string{"/opt/vault/data", "/opt/nomad/data", "/opt/consul", "/run/vault-agent"} {
				require.NoError(t, os.MkdirAll(root+dir, 0o700))
			}
			for _, file := range config.WriteFiles {
				content := file.Content
				for _, dir := range []string{"/etc/", "/opt/", "/run/vault-agent", "/var/lib/consul-template"} {
					content = strings.ReplaceAll(content, `"`+dir, `"`+root+dir)
				}
				require.NoError(t, os.MkdirAll(filepath.Dir(root+file.Path), 0o700))
				mode, err := strconv.ParseUint(file.Permissions, 8, 32)
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(root+file.Path, []byte(content), os.FileMode(mode)))
			}
			test(t, root, k)
		})
	}
}

func run(t *testing.T, command ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	output, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput()
	return string(output), err
}

func TestConsulAccepts(t *testing.T) {
	binary := machinetest.Product(t, "consul")
	onDisk(t, func(t *testing.T, root string, _ kind) {
		output, err := run(t, binary, "validate", root+names.ConsulDir)
		require.NoError(t, err, output)
		assert.Contains(t, output, "Configuration is valid!")
	})
}

func TestNomadAccepts(t *testing.T) {
	binary := machinetest.Product(t, "nomad")
	onDisk(t, func(t *testing.T, root string, k kind) {
		if !k.has(nomad.Part) {
			assert.NoDirExists(t, root+names.NomadDir)
			return
		}
		output, err := run(t, binary, "config", "validate", root+names.NomadDir)
		require.NoError(t, err, output)
		assert.Contains(t, output, "Configuration is valid!")
	})
}

// The kernel's opinion of the guards, in a network of their own.
func TestNftAccepts(t *testing.T) {
	seen := 0
	onDisk(t, func(t *testing.T, root string, _ kind) {
		rules, err := filepath.Glob(root + "/etc/hashistack/*.nft")
		require.NoError(t, err)
		for _, file := range rules {
			seen++
			output, err := run(t, "unshare", "--user", "--map-root-user", "--net", "nft", "--check", "--file", file)
			require.NoError(t, err, "%s: %s", file, output)
		}
	})
	assert.Equal(t, 9, seen, "the guard of the metadata service on four kinds of machines, that of tasks on two, the door of Vault on three")
}

// diagnosis is what `vault operator diagnose` reports.
type diagnosis struct {
	Name     string      `json:"name"`
	Status   string      `json:"status"`
	Warnings []string    `json:"warnings"`
	Message  string      `json:"message"`
	Children []diagnosis `json:"children"`
}

func (d diagnosis) find(name string) (diagnosis, bool) {
	if d.Name == name {
		return d, true
	}
	for _, child := range d.Children {
		if found, ok := child.find(name); ok {
			return found, true
		}
	}
	return diagnosis{}, false
}

func TestVaultAccepts(t *testing.T) {
	binary := machinetest.Product(t, "vault")
	onDisk(t, func(t *testing.T, root string, k kind) {
		if !k.has(vault.Part) {
			assert.NoDirExists(t, root+names.VaultDir)
			return
		}
		// Its exit code also judges the machine it runs on; what it says about the configuration is in the report.
		output, err := exec.Command(binary, "operator", "diagnose", "-format=json", "-config="+root+names.VaultDir+"server.json").Output()
		var report diagnosis
		require.NoError(t, json.Unmarshal(output, &report), "%v: %s", err, output)
		for _, check := range []string{
			"Parse Configuration", "Create Storage Backend", "Create Core Configuration", "Create HA Storage Backend",
			"Check Cluster Address", "Create Listeners",
		} {
			found, ok := report.find(check)
			require.True(t, ok, "no check %q in %s", check, output)
			assert.Equal(t, "ok", found.Status, "%s: %s %v", check, found.Message, found.Warnings)
			assert.Empty(t, found.Warnings, check)
		}
	})
}

// until runs a command that never ends by itself until its output has all of the texts.
func until(t *testing.T, texts []string, command ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	reader, writer := io.Pipe()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = writer, writer
	require.NoError(t, cmd.Start())
	go func() { writer.CloseWithError(cmd.Wait()) }()

	var seen bytes.Buffer
	missing := texts
	for lines := bufio.NewScanner(reader); len(missing) > 0 && lines.Scan(); {
		seen.WriteString(lines.Text() + "\n")
		missing = nil
		for _, text := range texts {
			if !strings.Contains(seen.String(), text) {
				missing = append(missing, text)
			}
		}
	}
	cancel()
	_, _ = io.Copy(io.Discard, reader) // until it has ended
	assert.Empty(t, missing, "%s did not say so, but:\n%s", command[0], &seen)
}

// Vault Agent has accepted its configuration when it tries to log in. There is nobody it could log in to.
func TestVaultAgentAccepts(t *testing.T) {
	binary := machinetest.Product(t, "vault")
	onDisk(t, func(t *testing.T, root string, _ kind) {
		until(t, []string{"agent.sink.file: file sink configured", "agent.auth.handler: error authenticating", names.VaultName},
			binary, "agent", "-config="+root+"/etc/vault-agent.d/agent.json")
	})
}

// consul-template has accepted configuration and templates when it asks for what is in them.
func TestConsulTemplateAccepts(t *testing.T) {
	consulTemplate := machinetest.Product(t, "consul-template")
	onDisk(t, func(t *testing.T, root string, k kind) {
		require.NoError(t, os.WriteFile(root+names.VaultToken, []byte("hvs.token"), 0o600))
		want := []string{"vault.read(platform/data/gossip/consul)", "vault.read(consul/creds/agent-" + k.Name + ")"}
		for _, part := range k.parts() {
			for _, token := range part.Tokens {
				want = append(want, "vault.read("+names.ConsulCreds(token.Role(k.Name))+")")
			}
		}
		for name, bundle := range map[string]string{
			"consul-certificate": names.ConsulBundle, "nomad-certificate": names.NomadBundle, "vault-certificate": "/var/lib/consul-template/vault.pem",
		} {
			source, err := os.ReadFile(root + machine.Template{Name: name}.Source())
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			require.NoError(t, err)
			path := regexp.MustCompile(`pkiCert "([^"]*)"`).FindStringSubmatch(string(source))
			require.NotNil(t, path, "%s", source)
			want = append(want, "vault.pki("+path[1]+"->"+root+bundle+")")
		}
		until(t, want, consulTemplate, "-config="+root+"/etc/consul-template.d/config.json", "-log-level=trace")
	})
}

// The drop-ins are judged on top of units with nothing but a command: the packages' own are not at hand.
func TestSystemdAccepts(t *testing.T) {
	onDisk(t, func(t *testing.T, root string, k kind) {
		var units, packaged []string
		for _, part := range k.parts() {
			found, err := fs.Glob(part.FS, "rootfs/etc/systemd/system/*.*")
			require.NoError(t, err)
			for _, unit := range found {
				if !strings.HasSuffix(unit, ".d") {
					units = append(units, path.Base(unit))
				}
			}
			packages, err := fs.Glob(part.FS, "rootfs/etc/systemd/system/*.service.d")
			require.NoError(t, err)
			for _, dir := range packages {
				packaged = append(packaged, strings.TrimSuffix(path.Base(dir), ".service.d"))
			}
		}
		require.Contains(t, units, "vault-agent.service")
		packaged = slices.DeleteFunc(packaged, func(name string) bool { return slices.Contains(units, name+".service") })
		slices.Sort(packaged)
		packaged = slices.Compact(packaged)
		require.Contains(t, packaged, "consul")
		for _, name := range packaged {
			unit := filepath.Join(root, "/etc/systemd/system", name+".service")
			require.NoError(t, os.WriteFile(unit, []byte("[Service]\nExecStart=/usr/bin/"+name+"\n"), 0o600))
			units = append(units, name+".service")
		}
		for _, binary := range []string{
			"/usr/bin/consul", "/usr/bin/consul-template", "/usr/bin/nomad", "/usr/bin/vault", "/usr/sbin/nft", "/usr/sbin/ip", "/usr/bin/systemctl", "/bin/kill", "/usr/bin/kill", "/bin/sh",
		} {
			require.NoError(t, os.MkdirAll(filepath.Dir(root+binary), 0o700))
			require.NoError(t, os.WriteFile(root+binary, nil, 0o700))
		}
		for _, target := range []string{"sysinit", "basic", "shutdown", "network-online", "network-pre", "multi-user"} {
			unit := filepath.Join(root, "/etc/systemd/system", target+".target")
			require.NoError(t, os.WriteFile(unit, []byte("[Unit]\nDefaultDependencies=no\n"), 0o600))
		}
		output, err := run(t, append([]string{"systemd-analyze", "--root=" + root, "verify"}, units...)...)
		require.NoError(t, err, output)
		assert.Empty(t, output)
	})
}

// In a network of its own, so that the test needs no rights outside and the rules stay there.
func TestNftAcceptsTwice(t *testing.T) {
	onDisk(t, func(t *testing.T, root string, _ kind) {
		rules := root + "/etc/hashistack/metadata.nft"
		output, err := run(t, "unshare", "--user", "--map-root-user", "--net", "sh", "-c",
			"nft --file "+rules+" && nft --file "+rules+" && nft list table inet hashistack")
		require.NoError(t, err, output)
		for _, address := range []string{"169.254.169.254", "fe80::a9fe:a9fe"} {
			assert.Equal(t, 2, strings.Count(output, "daddr "+address+" reject"), "for the machine itself and for what it forwards: %s", output)
		}
	})
}
