//go:build products

package machine

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The products' own opinion of every configuration, from the pinned binaries that `tools/build` puts into .tools/bin.

func product(t *testing.T, name string) string {
	t.Helper()
	binary, err := filepath.Abs(filepath.Join("../../.tools/bin", name))
	require.NoError(t, err)
	_, err = os.Stat(binary)
	require.NoError(t, err, "run `tools/build %s`", name)
	return binary
}

// onDisk writes the files of each kind of machine below a directory of its own, which stands for the machine's / in the
// files as well, and runs the test there.
func onDisk(t *testing.T, test func(t *testing.T, root string, c Cluster, m Machine)) {
	for name, c := range clusters(t) {
		t.Run(name, func(t *testing.T) {
			config, err := cloudConfig(c.Cluster, c.Machine)
			require.NoError(t, err)
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
			test(t, root, c.Cluster, c.Machine)
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
	consul := product(t, "consul")
	onDisk(t, func(t *testing.T, root string, _ Cluster, _ Machine) {
		output, err := run(t, consul, "validate", root+consulDir)
		require.NoError(t, err, output)
		assert.Contains(t, output, "Configuration is valid!")
	})
}

func TestNomadAccepts(t *testing.T) {
	nomad := product(t, "nomad")
	onDisk(t, func(t *testing.T, root string, _ Cluster, m Machine) {
		if !m.runsNomad() {
			assert.NoDirExists(t, root+nomadDir)
			return
		}
		output, err := run(t, nomad, "config", "validate", root+nomadDir)
		require.NoError(t, err, output)
		assert.Contains(t, output, "Configuration is valid!")
	})
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
	vault := product(t, "vault")
	onDisk(t, func(t *testing.T, root string, _ Cluster, m Machine) {
		if !m.has(RoleVault) {
			assert.NoDirExists(t, root+vaultDir)
			return
		}
		// Its exit code also judges the machine it runs on; what it says about the configuration is in the report.
		output, err := exec.Command(vault, "operator", "diagnose", "-format=json", "-config="+root+vaultDir+"server.json").Output()
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
	vault := product(t, "vault")
	onDisk(t, func(t *testing.T, root string, _ Cluster, _ Machine) {
		until(t, []string{"agent.sink.file: file sink configured", "agent.auth.handler: error authenticating", VaultName},
			vault, "agent", "-config="+root+vaultAgentDir+"agent.json")
	})
}

// consul-template has accepted configuration and templates when it asks for what is in them.
func TestConsulTemplateAccepts(t *testing.T) {
	consulTemplate := product(t, "consul-template")
	onDisk(t, func(t *testing.T, root string, c Cluster, m Machine) {
		require.NoError(t, os.WriteFile(root+tokenFile, []byte("hvs.token"), 0o600))
		want := []string{"vault.read(platform/data/gossip/consul)", "vault.read(consul/creds/agent-" + m.Pool + ")"}
		for _, template := range templates(c, m) {
			if asks, ok := template.data.(certificate); ok {
				want = append(want, "vault.pki("+asks.Path+"->"+root+template.destination+")")
			}
			if asks, ok := template.data.(secret); ok {
				want = append(want, "vault.read("+asks.Path+")")
			}
		}
		until(t, want, consulTemplate, "-config="+root+templateDir+"config.json", "-log-level=trace")
	})
}

// The drop-ins are judged on top of units with nothing but a command: the packages' own are not at hand.
func TestSystemdAccepts(t *testing.T) {
	onDisk(t, func(t *testing.T, root string, _ Cluster, m Machine) {
		units := []string{"vault-agent.service", "consul-template.service", "consul-template.path", "consul-template-login.path",
			"consul-template-login.service", "metadata-guard.service", "credentials.service", "credentials.timer"}
		packaged := []string{"consul"}
		if m.has(RoleVault) {
			packaged = append(packaged, "vault")
		}
		if m.runsNomad() {
			packaged = append(packaged, "nomad")
		}
		if m.has(RoleNomadServer) {
			units = append(units, "nomad-restart.service")
		}
		for _, name := range packaged {
			unit := filepath.Join(root, "/etc/systemd/system", name+".service")
			require.NoError(t, os.WriteFile(unit, []byte("[Service]\nExecStart=/usr/bin/"+name+"\n"), 0o600))
			units = append(units, name+".service")
		}
		for _, binary := range []string{
			"/usr/bin/consul", "/usr/bin/consul-template", "/usr/bin/nomad", "/usr/bin/vault", "/usr/sbin/nft", "/bin/kill", "/usr/bin/kill", "/bin/sh",
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
	onDisk(t, func(t *testing.T, root string, _ Cluster, _ Machine) {
		rules := root + "/etc/hashistack/metadata.nft"
		output, err := run(t, "unshare", "--user", "--map-root-user", "--net", "sh", "-c",
			"nft --file "+rules+" && nft --file "+rules+" && nft list table ip hashistack")
		require.NoError(t, err, output)
		assert.Equal(t, 1, strings.Count(output, "169.254.169.254 meta skuid != 0"), output)
	})
}
