package machine

import (
	"compress/gzip"
	"encoding/base64"
	"flag"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"hashistack/internal/cloudinit"
)

var update = flag.Bool("update", false, "write the golden files")

func read(t testing.TB, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return string(content)
}

func peer(name, address string) Peer { return Peer{name, netip.MustParseAddr(address)} }

func testCluster(t testing.TB) Cluster {
	return Cluster{
		Datacenter: "fsn1", Region: "global", CA: read(t, "ca.pem"),
		Packages: Packages{Consul: "1.22.3-1", Nomad: "1.11.3-1", Vault: "1.21.0-1", ConsulTemplate: "0.41.1-1"},
	}
}

// clusters are the shapes of clusters a golden file exists for, each with the machine that is rendered.
func clusters(t testing.TB) map[string]struct {
	Cluster
	Machine
} {
	three := []Peer{peer("server-1", "10.0.1.10"), peer("server-2", "10.0.1.11"), peer("server-3", "10.0.1.12")}
	usual := testCluster(t)
	usual.Vault, usual.ConsulServers, usual.NomadServers = three, three, three

	apart := usual
	apart.Vault = []Peer{peer("vault-1", "10.0.3.10"), peer("vault-2", "10.0.3.11"), peer("vault-3", "10.0.3.12")}
	apart.Seal = &Seal{Type: "transit", Parameters: map[string]string{
		"address": "https://kms.example.com:8200", "token": "a-token", "key_name": "unseal", "mount_path": "transit/",
	}}

	single := testCluster(t)
	alone := []Peer{peer("all-1", "10.0.1.10")}
	single.Vault, single.ConsulServers, single.NomadServers = alone, alone, alone

	machine := func(name, pool, private, public string, roles ...Role) Machine {
		m := Machine{
			Name: name, Pool: pool, Roles: roles, Private: netip.MustParseAddr(private),
			RoleID: "11111111-role-id", SecretID: "22222222-secret-id",
		}
		if public != "" {
			m.Public = netip.MustParseAddr(public)
		}
		if m.has(RoleVault) {
			m.BootstrapCertificate, m.BootstrapKey = read(t, "vault.crt"), read(t, "vault.key")
		}
		return m
	}
	client := machine("client-1", "client", "10.0.2.10", "198.18.0.20", RoleNomadClient)
	client.NodePool, client.Meta = "batch", map[string]string{"disk": "local"}

	return map[string]struct {
		Cluster
		Machine
	}{
		"server": {usual, machine("server-2", "server", "10.0.1.11", "198.18.0.11",
			RoleVault, RoleConsulServer, RoleNomadServer)},
		"client": {usual, client},
		"vault":  {apart, machine("vault-1", "vault", "10.0.3.10", "", RoleVault)},
		"single": {single, machine("all-1", "all", "10.0.1.10", "198.18.0.10",
			RoleVault, RoleConsulServer, RoleNomadServer, RoleNomadClient)},
	}
}

// Golden files show the files of a machine as they are on its disk, before compression.
func TestUserDataGolden(t *testing.T) {
	for name, c := range clusters(t) {
		t.Run(name, func(t *testing.T) {
			config, err := cloudConfig(c.Cluster, c.Machine)
			require.NoError(t, err)
			got, err := config.YAML()
			require.NoError(t, err)
			golden := name + ".yaml"
			if *update {
				require.NoError(t, os.WriteFile(filepath.Join("testdata", golden), got, 0o600))
			}
			assert.Equal(t, read(t, golden), string(got), "differs from %s: if that is meant, run the test with -update", golden)
		})
	}
}

// What is sent is what the golden files show, and small enough to leave room for growth.
func TestUserDataIsTheConfigCompressed(t *testing.T) {
	for name, c := range clusters(t) {
		t.Run(name, func(t *testing.T) {
			config, err := cloudConfig(c.Cluster, c.Machine)
			require.NoError(t, err)
			want, err := config.YAML()
			require.NoError(t, err)
			userData, err := UserData(c.Cluster, c.Machine)
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

// Machines that boot together do not renew together, and all of them well before what credentials.timer warns of.
func TestRenewalsAreSpread(t *testing.T) {
	seen := map[float64]bool{}
	for i := range byte(5) {
		after := renewAfter(Machine{Private: netip.AddrFrom4([4]byte{10, 0, 1, 10 + i})})
		assert.Greater(t, after, 0.59)
		assert.Less(t, after, 0.68)
		seen[after] = true
	}
	assert.Len(t, seen, 5)
}

// Nothing may switch verification off, and nothing may look as if it did: machines are searched for these words.
func TestUserDataVerifiesAlways(t *testing.T) {
	for name, c := range clusters(t) {
		t.Run(name, func(t *testing.T) {
			config, err := cloudConfig(c.Cluster, c.Machine)
			require.NoError(t, err)
			got, err := yaml.Marshal(config)
			require.NoError(t, err)
			for _, word := range []string{"insecure", "skip_verify", "skip-verify", "skipverify", "no-check-certificate"} {
				assert.NotContains(t, strings.ToLower(string(got)), word)
			}
		})
	}
}

func TestUserDataReportsEveryProblem(t *testing.T) {
	c := clusters(t)["server"]
	c.CA, c.SecretID, c.BootstrapKey = "", " ", ""
	c.Private = netip.MustParseAddr("10.0.1.99")
	c.Roles = append(c.Roles, "nomad")
	c.Seal = &Seal{Type: "shamir"}
	c.Vault = nil
	_, err := UserData(c.Cluster, c.Machine)
	require.Error(t, err)
	for _, want := range []string{
		`user-data of machine "server-2"`,
		"Cluster.CA is empty", "Machine.SecretID is empty", "BootstrapKey is empty",
		"Cluster.Vault is empty", "Cluster.ConsulServers lacks server-2 at 10.0.1.99", `Machine.Roles has "nomad"`,
		`Cluster.Seal.Type is "shamir"`,
	} {
		assert.ErrorContains(t, err, want)
	}
}
