package parts

import (
	"compress/gzip"
	"encoding/base64"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"golang.org/x/tools/txtar"

	"hashistack/internal/cloudinit"
	"hashistack/internal/machine"
)

var update = flag.Bool("update", false, "write the golden files")

func read(t testing.TB, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return string(content)
}

func peer(name, address string) machine.Peer {
	return machine.Peer{Name: name, Address: netip.MustParseAddr(address)}
}

func testCluster(t testing.TB) machine.Cluster {
	return machine.Cluster{
		Datacenter: "fsn1", Region: "global", CA: read(t, "ca.pem"), Network: netip.MustParsePrefix("10.0.0.0/16"),
		Packages: machine.Packages{Consul: "1.22.3-1", Nomad: "1.11.3-1", Vault: "1.21.0-1", ConsulTemplate: "0.41.1-1"},
	}
}

// kind is a machine in a cluster.
type kind struct {
	machine.Cluster
	machine.Machine
}

func (k kind) parts() machine.Parts { return Of(k.Roles) }

func (k kind) config(t testing.TB) cloudinit.Config {
	t.Helper()
	config, err := k.parts().CloudConfig(k.Cluster, k.Machine)
	require.NoError(t, err)
	return config
}

// kinds are the kinds of machines that the golden file shows.
func kinds(t testing.TB) map[string]kind {
	three := []machine.Peer{peer("server-1", "10.0.1.10"), peer("server-2", "10.0.1.11"), peer("server-3", "10.0.1.12")}
	usual := testCluster(t)
	usual.Servers = map[machine.Role][]machine.Peer{
		machine.RoleVault: three, machine.RoleConsulServer: three, machine.RoleNomadServer: three,
	}
	apart := usual
	apart.Servers = maps.Clone(usual.Servers)
	apart.Servers[machine.RoleVault] = []machine.Peer{
		peer("vault-1", "10.0.3.10"), peer("vault-2", "10.0.3.11"), peer("vault-3", "10.0.3.12"),
	}
	apart.Seal = &machine.Seal{Type: "transit", Parameters: map[string]string{
		"address": "https://kms.example.com:8200", "token": "a-token", "key_name": "unseal", "mount_path": "transit/",
	}}
	single := testCluster(t)
	alone := []machine.Peer{peer("all-1", "10.0.1.10")}
	single.Servers = map[machine.Role][]machine.Peer{
		machine.RoleVault: alone, machine.RoleConsulServer: alone, machine.RoleNomadServer: alone,
	}

	of := func(name, pool, private, public string, roles ...machine.Role) machine.Machine {
		m := machine.Machine{
			Name: name, Pool: pool, Roles: roles, Private: netip.MustParseAddr(private),
			RoleID: "11111111-role-id", SecretID: "22222222-secret-id",
		}
		if public != "" {
			m.Public = netip.MustParseAddr(public)
		}
		if Of(roles).FirstCertificate() != nil {
			m.BootstrapCertificate, m.BootstrapKey = read(t, "vault.crt"), read(t, "vault.key")
		}
		return m
	}
	client := of("client-1", "client", "10.0.2.10", "198.18.0.20", machine.RoleNomadClient)
	client.NodePool, client.Meta = "batch", map[string]string{"disk": "local"}

	return map[string]kind{
		"server": {usual, of("server-2", "server", "10.0.1.11", "198.18.0.11",
			machine.RoleVault, machine.RoleConsulServer, machine.RoleNomadServer)},
		"client": {usual, client},
		"vault":  {apart, of("vault-1", "vault", "10.0.3.10", "", machine.RoleVault)},
		"single": {single, of("all-1", "all", "10.0.1.10", "198.18.0.10", machine.AllRoles()...)},
	}
}

// golden compares with a golden file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(filepath.Join("testdata", name), []byte(got), 0o600))
	}
	assert.Equal(t, read(t, name), got, "differs from %s: if that is meant, run the test with -update", name)
}

// The golden file shows where each file of a machine comes from, and of each kind of machine the files as they are on its
// disk, before compression, and the policy in Vault.
func TestUserDataGolden(t *testing.T) {
	archive := &txtar.Archive{Files: []txtar.File{{Name: "files", Data: []byte(origins(t))}}}
	all := kinds(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		text, err := all[name].config(t).YAML()
		require.NoError(t, err)
		policy, err := all[name].parts().VaultPolicy(all[name].Cluster, all[name].Machine)
		require.NoError(t, err)
		archive.Files = append(archive.Files,
			txtar.File{Name: name + ".yaml", Data: text},
			txtar.File{Name: name + ".hcl", Data: []byte(policy)})
	}
	golden(t, "machines.txtar", string(txtar.Format(archive)))
}

// origins says of every file of any machine which part it comes from, and how it is made.
func origins(t *testing.T) string {
	t.Helper()
	lines := map[string]bool{}
	for _, k := range kinds(t) {
		files, err := k.parts().Files(k.Cluster, k.Machine)
		require.NoError(t, err)
		for _, file := range files {
			lines[fmt.Sprintf("%-62s %-12s %s\n", file.Path, file.Part, file.Origin)] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(lines)), "")
}

// What is sent is what the golden files show, and small enough to leave room for growth.
func TestUserDataIsTheConfigCompressed(t *testing.T) {
	for name, c := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			config := c.config(t)
			want, err := config.YAML()
			require.NoError(t, err)
			userData, _, err := c.parts().UserData(c.Cluster, c.Machine)
			require.NoError(t, err)
			t.Logf("%d bytes", len(userData))
			assert.Less(t, len(userData), cloudinit.Limit*3/4)
			assert.Equal(t, string(want), unpacked(t, userData))
		})
	}
}

// unpacked does what cloud-init does with user-data.
func unpacked(t *testing.T, userData string) string {
	t.Helper()
	zip, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, strings.NewReader(userData)))
	require.NoError(t, err)
	content, err := io.ReadAll(zip)
	require.NoError(t, err)
	return string(content)
}

// Nothing may switch verification off, and nothing may look as if it did: machines are searched for these words.
func TestUserDataVerifiesAlways(t *testing.T) {
	for name, c := range kinds(t) {
		t.Run(name, func(t *testing.T) {
			config := c.config(t)
			got, err := yaml.Marshal(config)
			require.NoError(t, err)
			for _, word := range []string{"insecure", "skip_verify", "skip-verify", "skipverify", "no-check-certificate"} {
				assert.NotContains(t, strings.ToLower(string(got)), word)
			}
		})
	}
}

func TestUserDataReportsEveryProblem(t *testing.T) {
	c := kinds(t)["server"]
	c.CA, c.SecretID, c.BootstrapKey = "", " ", ""
	c.Private = netip.MustParseAddr("10.0.1.99")
	c.Roles = append(c.Roles, "nomad")
	c.Seal = &machine.Seal{Type: "shamir"}
	c.Servers[machine.RoleVault] = nil
	_, _, err := c.parts().UserData(c.Cluster, c.Machine)
	require.Error(t, err)
	for _, want := range []string{
		`user-data of machine "server-2"`,
		"Cluster.CA is empty", "Machine.SecretID is empty", "BootstrapKey is empty",
		`Cluster.Servers["vault"] is empty`, `Cluster.Servers["consul-server"] lacks server-2 at 10.0.1.99`, `Machine.Roles has "nomad"`,
		`Cluster.Seal.Type is "shamir"`,
	} {
		assert.ErrorContains(t, err, want)
	}
}

// has tells whether the machine has a part.
func (k kind) has(part machine.Part) bool {
	return slices.ContainsFunc(k.parts(), func(p machine.Part) bool { return p.Name == part.Name })
}
