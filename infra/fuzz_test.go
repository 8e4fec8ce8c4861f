package infra

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"hashistack/internal/machine"
	"hashistack/internal/machine/parts"
)

// FuzzLoadConfig puts any values in the place of two of production's. Whatever they are, nothing panics; and what is accepted
// makes machines that could boot, in whose files the values are nothing but text.
func FuzzLoadConfig(f *testing.F) {
	f.Setenv("HCLOUD_TOKEN", "a token")
	base := stackConfig(f, "prod")
	var before value
	for _, values := range [][]value{place, machinesOf, operationOf} {
		for _, v := range values {
			v.json = strings.ReplaceAll(v.json, `"mirror.asc"`, `"testdata/mirror.asc"`)
			f.Add(v.key, v.json, before.key, before.json)
			before = v
		}
	}
	f.Add("bridgeNetwork", "10.0.0.0/16", "network", "192.168.0.0/16")
	f.Add("pools", `[{"name":"all","count":1,"type":"cx23","subnet":"10.0.0.0/27","roles":["vault","consul-server","nomad-server","nomad-client"]}]`, "seal", transit(""))
	pem := testPEM(f)

	f.Fuzz(func(t *testing.T, key, value, otherKey, otherValue string) {
		raw := maps.Clone(base)
		raw[namespace+":"+key], raw[namespace+":"+otherKey] = value, otherValue
		cfg, err := LoadConfig(raw)
		if err != nil {
			require.True(t, printable(strings.ReplaceAll(err.Error(), "\n  - ", "")), "a problem shows what it is about, and is one line: %q", err)
			return
		}
		for _, pool := range cfg.Pools {
			for _, peer := range pool.peers() {
				requireBootable(t, cfg, pool, peer, pem)
			}
		}
	})
}

// testPEM are certificates and a key of the usual sizes, of a machine of the golden files.
func testPEM(t testing.TB) map[string]string {
	t.Helper()
	pem := map[string]string{}
	for _, name := range []string{"ca.pem", "vault.crt", "vault.key"} {
		content, err := os.ReadFile(filepath.Join("..", "internal", "machine", "parts", "testdata", name))
		require.NoError(t, err)
		pem[name] = string(content)
	}
	return pem
}

// userData is what of a machine's user-data is looked at.
type userData struct {
	Hostname string
	Files    []struct{ Path, Content string } `yaml:"write_files"`
	Apt      struct {
		Sources map[string]struct{ Source, Key string }
	}
}

// rendered is the user-data of one of the machines, as cloud-init reads it.
func rendered(t *testing.T, cfg *Config, pool Pool, peer machine.Peer, pem map[string]string) userData {
	t.Helper()
	cluster := cfg.cluster()
	cluster.CA = pem["ca.pem"]
	text, _, err := parts.Of(pool.Roles).UserData(cluster, machine.Machine{
		Name: peer.Name, Pool: pool.Name, Roles: pool.Roles, NodePool: pool.NodePool, Meta: pool.Meta,
		Private: peer.Address, Public: netip.MustParseAddr("198.18.0.20"),
		RoleID: pool.Name, SecretID: "3b0a4a1c-8f0e-4a4e-9d4c-2f1f5a7f7f00",
		BootstrapCertificate: pem["vault.crt"], BootstrapKey: pem["vault.key"],
	})
	require.NoError(t, err)
	packed, err := base64.StdEncoding.DecodeString(text)
	require.NoError(t, err)
	zip, err := gzip.NewReader(bytes.NewReader(packed))
	require.NoError(t, err)
	content, err := io.ReadAll(zip)
	require.NoError(t, err)
	var data userData
	require.NoError(t, yaml.Unmarshal(content, &data))
	return data
}

func requireBootable(t *testing.T, cfg *Config, pool Pool, peer machine.Peer, pem map[string]string) {
	t.Helper()
	data := rendered(t, cfg, pool, peer, pem)
	require.Equal(t, peer.Name, data.Hostname)

	require.Len(t, data.Apt.Sources, 1)
	for _, source := range data.Apt.Sources {
		words := strings.Fields(source.Source)
		require.Len(t, words, 5, "%q", source.Source)
		require.Equal(t, fmt.Sprintf("deb [signed-by=$KEY_FILE] %s bookworm main", words[2]), source.Source)
	}

	actions := 0
	for _, file := range data.Files {
		count := strings.Count(file.Content, "{{")
		switch {
		case strings.HasPrefix(file.Path, "/etc/consul-template.d/") && strings.HasSuffix(file.Path, ".ctmpl"):
			actions += count
		case file.Path == "/etc/nomad.d/hashistack/agent.json": // go-sockaddr's, for the interface with the machine's address
			require.LessOrEqual(t, count, 1)
			require.Equal(t, count, strings.Count(file.Content, `"network_interface": "{{ GetAllInterfaces | include `))
		default:
			require.Zero(t, count, "an action in %s", file.Path)
		}
		if file.Path == "/etc/hosts" {
			require.Equal(t, 3+len(cfg.with(machine.RoleVault))+len(cfg.with(machine.RoleNomadServer)), strings.Count(file.Content, "\n"))
		}
	}
	require.Equal(t, ownActions(t, pool.Roles, pem), actions, "the configuration adds no action to the templates")
}

// counted remembers ownActions by roles: the same few come all the time.
var counted sync.Map

// ownActions is how many actions the templates of a machine with the roles have by themselves.
func ownActions(t *testing.T, roles []machine.Role, pem map[string]string) int {
	t.Helper()
	if known, ok := counted.Load(fmt.Sprint(roles)); ok {
		return known.(int)
	}
	all := Pool{Name: "pool", Count: 1, Subnet: netip.MustParsePrefix("10.0.1.0/24"), Roles: machine.AllRoles()}
	cfg := &Config{
		Location: "fsn1", Region: "global", Pools: []Pool{all}, Versions: Versions{"1", "1", "1", "1"},
		Network: netip.MustParsePrefix("10.0.0.0/16"),
	}
	all.Roles = roles
	actions := 0
	for _, file := range rendered(t, cfg, all, all.peers()[0], pem).Files {
		if strings.HasSuffix(file.Path, ".ctmpl") {
			actions += strings.Count(file.Content, "{{")
		}
	}
	counted.Store(fmt.Sprint(roles), actions)
	return actions
}
