package infra

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"hashistack/internal/machine"
)

// stackConfig reads Pulumi.<stack>.yaml as Pulumi hands it to the program, with the values of an owner in place of the placeholders.
func stackConfig(t testing.TB, stack string) map[string]string {
	t.Helper()
	raw := stackFile(t, stack)
	if stack == "prod" {
		raw["hashistack:operators"] = `["198.18.0.0/24"]`
	}
	return raw
}

// stackFile reads Pulumi.<stack>.yaml as it is.
func stackFile(t testing.TB, stack string) map[string]string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "Pulumi."+stack+".yaml"))
	require.NoError(t, err)
	var file struct{ Config map[string]any }
	require.NoError(t, yaml.Unmarshal(content, &file))
	raw := map[string]string{}
	for key, value := range file.Config {
		if text, ok := value.(string); ok {
			raw[key] = text
			continue
		}
		encoded, err := json.Marshal(value)
		require.NoError(t, err)
		raw[key] = string(encoded)
	}
	return raw
}

func TestLoadConfigOfProduction(t *testing.T) {
	t.Setenv("HCLOUD_TOKEN", "a token")
	cfg, err := LoadConfig(stackConfig(t, "prod"))
	require.NoError(t, err)
	assert.Nil(t, cfg.Mirror, "production installs from HashiCorp's own repository")
	assert.Equal(t, "global", cfg.Region)
	assert.Equal(t, []machine.Peer{
		{Name: "server-1", Address: netip.MustParseAddr("10.0.1.10")},
		{Name: "server-2", Address: netip.MustParseAddr("10.0.1.11")},
		{Name: "server-3", Address: netip.MustParseAddr("10.0.1.12")},
	}, cfg.with(machine.RoleVault))
	assert.Len(t, cfg.with(machine.RoleNomadClient), 3)
}

// The preview of production's file as it is says what is to be filled in, and nothing else.
func TestProductionIsToBeFilledIn(t *testing.T) {
	t.Setenv("HCLOUD_TOKEN", "a token")
	_, err := LoadConfig(stackFile(t, "prod"))
	require.EqualError(t, err, `the stack's configuration has 1 problem(s); nothing was changed:
  - hashistack:operators[0]: still has the placeholder REPLACE-ME: put your own value in its place`)
}

// TestStacksDifferInPlaceOnly keeps the local stack an honest rehearsal of production.
func TestStacksDifferInPlaceOnly(t *testing.T) {
	local, prod := stackConfig(t, "local"), stackConfig(t, "prod")
	for _, place := range []string{"hcloud:endpoint", "hashistack:mirror"} {
		assert.Contains(t, local, place)
		assert.NotContains(t, prod, place)
		delete(local, place)
	}
	assert.Contains(t, local, "hashistack:patience", "somebody waits in front of it")
	delete(local, "hashistack:patience")
	assert.ElementsMatch(t, sortedKeysOf(local), sortedKeysOf(prod))
	for _, same := range []string{"hashistack:location", "hashistack:network"} {
		assert.Equal(t, prod[same], local[same])
	}
	var localPools, prodPools []Pool
	require.NoError(t, json.Unmarshal([]byte(local["hashistack:pools"]), &localPools))
	require.NoError(t, json.Unmarshal([]byte(prod["hashistack:pools"]), &prodPools))
	for i := range localPools {
		localPools[i].Count, localPools[i].Type = prodPools[i].Count, prodPools[i].Type
	}
	assert.Equal(t, prodPools, localPools, "but for their sizes")
}

func sortedKeysOf(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	return keys
}

// One lifetime that is set leaves the others as they are.
func TestLoadConfigLifetimes(t *testing.T) {
	t.Setenv("HCLOUD_TOKEN", "a token")
	raw := stackConfig(t, "prod")
	raw["hashistack:lifetimes"] = `{"certificate": "90s", "token": "2m"}`
	cfg, err := LoadConfig(raw)
	require.NoError(t, err)
	assert.Equal(t, Lifetimes{
		Certificate: 90 * time.Second, Login: 24 * time.Hour,
		Token: 2 * time.Minute, TokenMax: 720 * time.Hour, Workload: 30 * time.Minute,
	}, cfg.Lifetimes)
}

// One generation that is raised leaves the others as they are.
func TestLoadConfigGenerations(t *testing.T) {
	t.Setenv("HCLOUD_TOKEN", "a token")
	raw := stackConfig(t, "prod")
	cfg, err := LoadConfig(raw)
	require.NoError(t, err)
	assert.Equal(t, Generations{ConsulGossip: 1, NomadGossip: 1, ConsulEngine: 1, NomadEngine: 1, Intermediates: 1, Root: 1, MachineRoot: 1}, cfg.Generations)

	raw["hashistack:generations"] = `{"nomadGossip": 7, "consulEngine": 2}`
	cfg, err = LoadConfig(raw)
	require.NoError(t, err)
	assert.Equal(t, Generations{ConsulGossip: 1, NomadGossip: 7, ConsulEngine: 2, NomadEngine: 1, Intermediates: 1, Root: 1, MachineRoot: 1}, cfg.Generations)
}

// Machines carry the root that signs, or the one before it.
func TestLoadConfigRoots(t *testing.T) {
	t.Setenv("HCLOUD_TOKEN", "a token")
	for _, allowed := range []string{`{"root": 2}`, `{"root": 2, "machineRoot": 2}`, `{"root": 3, "machineRoot": 2}`, `{"root": 3, "machineRoot": 3}`} {
		raw := stackConfig(t, "prod")
		raw["hashistack:generations"] = allowed
		_, err := LoadConfig(raw)
		require.NoError(t, err, allowed)
	}
}

func TestLoadConfigReportsEverythingAtOnce(t *testing.T) {
	t.Setenv("HCLOUD_TOKEN", "")
	_, err := LoadConfig(map[string]string{
		"hashistack:location":      "fsn1",
		"hashistack:locatoin":      "nbg1",
		"hashistack:network":       "10.0.0.0/16",
		"hashistack:bridgeNetwork": "10.0.128.0/20",
		"hashistack:operators":     `["0.0.0.0/0"]`,
		"hashistack:pools": `[
			{"name": "server", "count": 2, "type": "cpx32", "subnet": "10.0.1.0/24", "roles": ["vault", "consul-server", "nomad-server"]},
			{"name": "client", "cuont": 3, "count": 3, "type": "cpx32", "subnet": "10.0.1.128/25", "roles": ["nomad-cleint"]}
		]`,
		"other:key": "of another package",
	})
	require.EqualError(t, err, `the stack's configuration has 8 problem(s); nothing was changed:
  - hashistack:pools[1].cuont: unknown key: remove it or correct its spelling; README.md lists the keys
  - hashistack:locatoin: unknown key: remove it or correct its spelling; README.md lists the keys
  - hashistack:bridgeNetwork: 10.0.128.0/20 overlaps network 10.0.0.0/16: choose one outside of it
  - hashistack:pools[1].subnet: 10.0.1.128/25 overlaps pools[0].subnet 10.0.1.0/24: give each pool a subnet of its own
  - hashistack:operators[0]: 0.0.0.0/0 would open the APIs to the whole internet: name your own networks
  - hashistack:pools[0].count: must be 1, 3 or 5 with role vault, got 2: an even number tolerates no more failures than the odd one below it
  - hashistack:pools[1].roles[0]: must be one of `+commas(machine.AllRoles())+`, got "nomad-cleint"
  - hcloud:token: missing: run `+"`pulumi config set --secret hcloud:token …`"+` with an API token of the Hetzner Cloud project (read & write), or export HCLOUD_TOKEN`)
}

// A key that is missing or wrong hides no problem of another.
func TestLoadConfigGoesOnAfterAProblem(t *testing.T) {
	t.Setenv("HCLOUD_TOKEN", "a token")
	raw := stackConfig(t, "prod")
	raw["hashistack:pools"] = `[]`
	raw["hashistack:patience"] = "1s"
	raw["hashistack:network"] = "10.0.0.1/16"
	raw["hashistack:bridgeNetwork"] = "172.26.64.1/20"
	_, err := LoadConfig(raw)
	for _, path := range []string{"pools", "patience", "network", "bridgeNetwork"} {
		require.ErrorContains(t, err, "hashistack:"+path+": ")
	}
}

func TestLoadConfigRefuses(t *testing.T) {
	t.Setenv("HCLOUD_TOKEN", "a token")
	for name, test := range map[string]struct {
		key, value, want string
	}{
		"an empty stack":        {"hashistack:pools", `[]`, "hashistack:pools: missing: a stack needs at least machines with the roles"},
		"text for a number":     {"hashistack:pools", `[{"name": "a", "count": "three"}]`, `hashistack:pools[0].count: must be a whole number, got "three"`},
		"a network that is not": {"hashistack:network", "10.0.0.0", "hashistack:network:"},
		"host bits":             {"hashistack:network", "10.0.0.1/16", "hashistack:network: must be an IPv4 network without host bits, got 10.0.0.1/16: did you mean 10.0.0.0/16?"},
		"a subnet outside":      {"hashistack:network", "10.1.0.0/16", "hashistack:pools[0].subnet: 10.0.1.0/24 is not part of network 10.1.0.0/16"},
		"a mirror without key":  {"hashistack:mirror", `{"url": "http://mirror.example"}`, "hashistack:mirror.keyFile: missing"},
		"an unreadable key":     {"hashistack:mirror", `{"url": "http://mirror.example", "keyFile": "none.asc"}`, "hashistack:mirror.keyFile: cannot be read"},
		"an unknown seal":       {"hashistack:seal", `{"type": "wax"}`, `hashistack:seal.type: must be one of transit, awskms, azurekeyvault, got "wax"`},
		"not a duration":        {"hashistack:lifetimes", `{"certificate": "soon"}`, `hashistack:lifetimes.certificate: must be a duration such as 90s, 30m or 24h, got "soon"`},
		"a bare number":         {"hashistack:lifetimes", `{"login": 60}`, "hashistack:lifetimes.login: must be a duration such as 90s, 30m or 24h, got 60: add the unit"},
		"too short a life":      {"hashistack:lifetimes", `{"workload": "29s"}`, "hashistack:lifetimes.workload: must be a duration between 30s and 768h0m0s"},
		"too long a life":       {"hashistack:lifetimes", `{"certificate": "87600h"}`, "hashistack:lifetimes.certificate: must be a duration between"},
		"half a second":         {"hashistack:lifetimes", `{"token": "90.5s"}`, "hashistack:lifetimes.token: must be whole seconds, got 1m30.5s"},
		"a token beyond max":    {"hashistack:lifetimes", `{"token": "2m", "tokenMax": "1m"}`, "hashistack:lifetimes.token: 2m0s is longer than lifetimes.tokenMax, 1m0s"},
		"a login beyond max":    {"hashistack:lifetimes", `{"login": "800h"}`, "hashistack:lifetimes.login: 800h0m0s is longer than lifetimes.tokenMax, 720h0m0s"},
		"a token and login":     {"hashistack:lifetimes", `{"token": "2m", "login": "1m"}`, "hashistack:lifetimes.token: 2m0s is longer than lifetimes.login, 1m0s"},
		"no patience":           {"hashistack:patience", `59s`, "hashistack:patience: must be a duration between 1m0s and 2h0m0s such as 5m, got 59s"},
		"endless patience":      {"hashistack:patience", `3h`, "hashistack:patience: must be a duration between 1m0s and 2h0m0s such as 5m, got 3h0m0s"},
		"an unknown life":       {"hashistack:lifetimes", `{"certificates": "1h"}`, "hashistack:lifetimes.certificates: unknown key"},
		"generation zero":       {"hashistack:generations", `{"consulGossip": 0}`, "hashistack:generations.consulGossip: must be between 1 and 1000, got 0"},
		"a negative generation": {"hashistack:generations", `{"nomadEngine": -1}`, "hashistack:generations.nomadEngine: must be between 1 and 1000, got -1"},
		"half a generation":     {"hashistack:generations", `{"consulEngine": 1.5}`, "hashistack:generations.consulEngine: must be a whole number, got 1.5"},
		"no intermediates":      {"hashistack:generations", `{"intermediates": 0}`, "hashistack:generations.intermediates: must be between 1 and 1000, got 0"},
		"no root":               {"hashistack:generations", `{"root": 0}`, "hashistack:generations.root: must be between 1 and 1000, got 0"},
		"no root of machines":   {"hashistack:generations", `{"machineRoot": 0}`, "hashistack:generations.machineRoot: must be between 1 and 1000, got 0"},
		"a root to come": {"hashistack:generations", `{"machineRoot": 2}`,
			"hashistack:generations.machineRoot: must not be greater than generations.root, 1, got 2: there is no such root; raise root first"},
		"a root that is gone": {"hashistack:generations", `{"root": 3}`,
			"hashistack:generations.machineRoot: must be generations.root, 3, or the one before it, got 1: machines would not be able to " +
				"verify what root 3 signs; set root to 2 until machineRoot is 2 and the machines are replaced"},
		"an unknown generation": {"hashistack:generations", `{"consul": 2}`, "hashistack:generations.consul: unknown key"},
		"half a machine":        {"hashistack:pools", `[{"name": "a", "count": 2.5}]`, "hashistack:pools[0].count: must be a whole number, got 2.5"},
		"a bad port":            {"hashistack:pools", `[{"name": "web", "open": ["http"]}]`, `hashistack:pools[0].open[0]: must be a port such as 443 or a range of ports`},
		"two quorums": {
			"hashistack:pools",
			`[{"name": "a", "count": 3, "roles": ["vault"]}, {"name": "b", "count": 3, "roles": ["vault"]}]`,
			`hashistack:pools[1].roles[0]: vault is a role of pool "a" already: one pool holds a quorum`,
		},
		"a name that is a prefix": {
			"hashistack:pools", `[{"name": "web"}, {"name": "web-big"}]`,
			`hashistack:pools[1].name: "web-big" begins like pools[0].name, "web"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			raw := stackConfig(t, "prod")
			raw[test.key] = test.value
			_, err := LoadConfig(raw)
			require.ErrorContains(t, err, test.want)
		})
	}
}
