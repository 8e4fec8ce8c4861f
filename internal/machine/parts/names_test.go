package parts

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/internal/machine"
	"hashistack/internal/machine/parts/access"
	"hashistack/internal/machine/parts/nomadserver"
	"hashistack/internal/names"
)

// Scripts, units and configuration files of rootfs/ cannot import the constants of package names. These tests hold them to
// what the platform calls things.

// rootfs calls do with every file of every part's rootfs.
func rootfs(t *testing.T, do func(part machine.Part, file, content string)) {
	t.Helper()
	for _, part := range All() {
		if part.FS == nil {
			continue
		}
		tree, err := fs.Sub(part.FS, "rootfs")
		require.NoError(t, err)
		err = fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
			if err != nil && name == "." {
				return nil // the part has none
			}
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := fs.ReadFile(tree, name)
			do(part, "/"+name, string(content))
			return err
		})
		require.NoError(t, err)
	}
}

// theirs are paths that packages, systemd or the kernel bring.
var theirs = []string{
	"/bin/kill", "/bin/sh", "/usr/bin/consul", "/usr/bin/consul-template", "/usr/bin/nomad", "/usr/bin/vault", "/usr/sbin/nft",
	"/dev/log", "/dev/null", "/etc/consul.d", "/etc/nomad.d", "/etc/vault.d", "/opt/consul", "/opt/nomad/data", "/opt/vault/data", "/var/log/vault/*.log",
}

// absolute finds absolute paths.
var absolute = regexp.MustCompile(`(^|[\s"'=<>(!-])(/(?:bin|dev|etc|opt|run|usr|var)/[\w./*-]*[\w*])`)

// Each path that a file of a machine names is a file of some part, what a template or a configuration of one writes, a path
// in package names, or one that a package brings. What only one file knows must be written there at least twice.
func TestPathsExist(t *testing.T) {
	known := slices.Clone(theirs)
	for _, k := range kinds(t) {
		config := k.config(t)
		for _, file := range config.WriteFiles {
			known = append(known, file.Path)
		}
		for _, file := range config.WriteFiles {
			if file.Path == "/etc/consul-template.d/config.json" {
				for _, destination := range regexp.MustCompile(`"destination": "([^"]+)"`).FindAllStringSubmatch(file.Content, -1) {
					known = append(known, destination[1])
				}
			}
		}
	}
	known = append(known, names.VaultToken, names.VaultAuditLog, names.Leases, names.ConsulBundle, names.NomadBundle, names.VaultBundle)
	for _, file := range slices.Clone(known) {
		known = append(known, path.Dir(file))
	}

	seen := 0
	rootfs(t, func(part machine.Part, file, content string) {
		var all []string
		for line := range strings.SplitSeq(content, "\n") {
			if !strings.HasPrefix(strings.TrimSpace(line), "#") {
				for _, found := range absolute.FindAllStringSubmatch(line, -1) {
					all = append(all, strings.TrimSuffix(found[2], "."))
				}
			}
		}
		for _, p := range all {
			seen++
			own := slices.Contains(ownFiles[file], p)
			assert.True(t, own || slices.Contains(known, p), "part %s: %s speaks of %s, which no part and no package brings", part.Name, file, p)
		}
		for _, p := range ownFiles[file] {
			assert.Contains(t, all, p, "%s does not speak of it any more", file)
		}
	})
	assert.Greater(t, seen, 60)
}

// ownFiles are what a script or a unit keeps for itself, or for a unit beside it in its part.
var ownFiles = map[string][]string{
	names.Scripts + "credentials":                       {"/run/hashistack/credentials", "/run/hashistack/known", "/run/hashistack/renewed"},
	names.Scripts + "restart-nomad":                     {"/run/hashistack-nomad.sha256"},
	names.Scripts + "install-vault-certificate":         {"/etc/vault.d/tls/bootstrap.pem"},
	"/etc/systemd/system/consul-template.service":       {"/run/consul-template.login"},
	"/etc/systemd/system/consul-template-login.service": {"/run/consul-template.login"},
}

// Each address in a file is one that a product of ours listens on.
func TestAddressesExist(t *testing.T) {
	listened := []string{
		names.VaultAddress(), names.HTTPS(names.Localhost, names.ConsulPort), names.HTTPS(names.Localhost, names.NomadPort), names.HTTPS(names.Localhost, names.VaultPort),
		names.Host("127.0.0.1", names.ConsulDNSPort),
	}
	address := regexp.MustCompile(`(https?://)?[a-z0-9.-]+:\d{4,5}\b`)
	var seen []string
	rootfs(t, func(part machine.Part, file, content string) {
		for _, found := range address.FindAllString(content, -1) {
			seen = append(seen, found)
			assert.Contains(t, listened, found, "part %s: %s", part.Name, file)
		}
	})
	assert.Subset(t, seen, listened)
}

// The check of credentials looks at every certificate that any part has written.
func TestCredentialsLooksAtEveryBundle(t *testing.T) {
	script, err := fs.ReadFile(access.Part.FS, "rootfs"+names.Scripts+"credentials")
	require.NoError(t, err)
	_, list, found := strings.Cut(string(script), "for file in ")
	require.True(t, found)
	list, _, found = strings.Cut(list, "; do")
	require.True(t, found)
	looked := strings.Fields(strings.ReplaceAll(list, "\\\n", " "))

	want := []string{names.VaultBundle} // where install-vault-certificate puts it
	for _, k := range kinds(t) {
		files, err := k.parts().Files(k.Cluster, k.Machine)
		require.NoError(t, err)
		for _, file := range files {
			if file.Path != "/etc/consul-template.d/config.json" {
				continue
			}
			for _, written := range regexp.MustCompile(`"source": "[^"]*-certificate.ctmpl",\s*"destination": "([^"]+)"`).FindAllStringSubmatch(file.Content, -1) {
				want = append(want, written[1])
			}
		}
	}
	slices.Sort(want)
	assert.ElementsMatch(t, slices.Compact(want), looked)
}

// The lock that Nomad's servers take is the one that their policy lets them take.
func TestNomadRestartLock(t *testing.T) {
	script, err := fs.ReadFile(nomadserver.Part.FS, "rootfs"+names.Scripts+"restart-nomad")
	require.NoError(t, err)
	assert.Contains(t, string(script), "\nlock="+names.NomadRestartLock+" ")
	tokens, err := machine.Parts{nomadserver.Part}.Tokens(someCluster, someMachine)
	require.NoError(t, err)
	assert.Contains(t, tokens[0].Policy, fmt.Sprintf("key_prefix %q {\n  policy = \"write\"", names.NomadRestartLock+"/"))
}

// Each folder is a part of the table, under the folder's name.
func TestEveryFolderIsInTheTable(t *testing.T) {
	entries, err := os.ReadDir(".")
	require.NoError(t, err)
	var folders, table []string
	for _, entry := range entries {
		if entry.IsDir() && entry.Name() != "testdata" {
			folders = append(folders, entry.Name())
		}
	}
	for _, part := range All() {
		table = append(table, part.Name)
	}
	assert.ElementsMatch(t, folders, table)
}

// No job may register a service that a machine registers.
func TestPlatformServices(t *testing.T) {
	registered := map[string]bool{"consul": true} // Consul's servers register themselves
	for _, k := range kinds(t) {
		for _, part := range k.parts() {
			if part.On == nil {
				continue
			}
			for _, service := range part.On(k.Cluster, k.Machine).Services {
				registered[service.Name] = true
			}
		}
	}
	assert.Equal(t, slices.Sorted(maps.Keys(registered)), names.PlatformServices())
}

// Tasks reach Vault, and no other API of the platform.
func TestClosedToTasks(t *testing.T) {
	closed := names.ClosedToTasks()
	for _, part := range All() {
		for _, api := range part.APIs {
			assert.Equal(t, api.Port != names.VaultPort, slices.Contains(closed, api.Port), "%s on port %d", api.Name, api.Port)
		}
	}
	assert.Subset(t, closed, names.OpenToTasksOnLoopback())
}
