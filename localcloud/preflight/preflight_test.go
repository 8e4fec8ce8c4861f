package main

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/localcloud/host"
)

var cloud = target{
	name: "hashistack", identity: "/mine/.local/cloud", loopback: []uint16{8580, 8581}, gateway: []uint16{8582, 8583},
	public: netip.MustParsePrefix("198.18.0.0/16"), private: netip.MustParsePrefix("10.0.0.0/16"),
}

// good is a host on which nothing is wrong.
func good() facts {
	return facts{
		system: "debian", version: "12", systemName: "Debian GNU/Linux 12 (bookworm)", root: true, bridgeFilter: true,
		docker: dockerFacts{version: "20.10.24+dfsg1", root: "/var/lib/docker", security: []string{"name=seccomp,profile=default"}},
		uses:   []host.Use{{Prefix: netip.MustParsePrefix("192.0.2.0/24"), What: "route 192.0.2.0/24 dev eth0"}},
		disks:  []disk{{"/", 60 << 30}}, memory: 16 << 30, available: 12 << 30,
	}
}

func listensOn(at string) listener {
	return listener{at: netip.MustParseAddrPort(at), process: "nginx (pid 7)"}
}

// Each message beside a host that is like it and gets none.
func TestMessages(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*facts)
		want   string // empty for none
		stops  bool
	}{
		"nothing is wrong": {func(*facts) {}, "", false},
		"Ubuntu":           {func(f *facts) { f.system, f.version, f.systemName = "ubuntu", "24.04", "Ubuntu 24.04.1 LTS" }, "this is Ubuntu 24.04.1 LTS", true},
		"a later Debian":   {func(f *facts) { f.version, f.systemName = "13", "Debian GNU/Linux 13 (trixie)" }, "tried on Debian 12", false},
		"not root":         {func(f *facts) { f.root = false }, "this is not root", true},
		"Docker elsewhere": {func(f *facts) { f.docker.remote = "tcp://10.1.1.1:2375" }, "Docker is at tcp://10.1.1.1:2375", true},
		"Docker missing":   {func(f *facts) { f.docker = dockerFacts{} }, "", false}, // tools/setup installs it
		"Docker too old":   {func(f *facts) { f.docker.version = "19.03.15" }, "Docker is 19.03.15: want 20.10 or newer", true},
		"Docker 29":        {func(f *facts) { f.docker.version = "29.0.1" }, "", false},
		"rootless Docker":  {func(f *facts) { f.docker.security = []string{"name=rootless"} }, "Docker runs with rootless", true},
		"remapped users":   {func(f *facts) { f.docker.security = []string{"name=userns"} }, "Docker runs with userns", true},
		"cgroup v2 only":   {func(f *facts) { f.cgroup2 = true }, "cgroup v2 only", false},
		"no br_netfilter":  {func(f *facts) { f.bridgeFilter = false }, "no br_netfilter", true},
		"another checkout runs": {func(f *facts) {
			f.working, f.owner = true, host.Owner{State: "/other/.local/cloud", PID: 42}
		}, `the local cloud "hashistack" of /other/.local/cloud runs on this host (pid 42)`, true},
		"another checkout's machines": {func(f *facts) { f.states = []string{"/other/.local/cloud"} }, "of /other/.local/cloud: run `make down`", true},
		"our own, which runs": {func(f *facts) {
			f.working, f.owner, f.states = true, host.Owner{State: cloud.identity, PID: 42}, []string{cloud.identity}
			f.listeners = []listener{listensOn("127.0.0.1:8580"), listensOn("198.18.0.1:8582")}
		}, "", false},
		"port of the API taken":           {func(f *facts) { f.listeners = []listener{listensOn("127.0.0.1:8580")} }, "port 8580 is taken by nginx (pid 7)", true},
		"port of the mirror taken by all": {func(f *facts) { f.listeners = []listener{listensOn("[::]:8582")} }, "port 8582 is taken by nginx (pid 7)", true},
		"such a port elsewhere":           {func(f *facts) { f.listeners = []listener{listensOn("127.0.0.1:8582"), listensOn("192.0.2.2:8580")} }, "", false},
		"a VPN in the private range": {func(f *facts) {
			f.uses = []host.Use{{Prefix: netip.MustParsePrefix("10.0.0.0/8"), What: "route 10.0.0.0/8 dev tun0"}}
		}, "10.0.0.0/16 overlaps with what this host uses (route 10.0.0.0/8 dev tun0)", true},
		"somebody in the public range": {func(f *facts) {
			f.uses = []host.Use{{Prefix: netip.MustParsePrefix("198.18.7.0/24"), What: "route 198.18.7.0/24 dev eth1"}}
		}, "198.18.0.0/16 overlaps", true},
		"disk full":      {func(f *facts) { f.disks = []disk{{"/", 60 << 30}, {"/var/lib/docker", 2 << 30}} }, "/var/lib/docker has 2.0 GiB free: want 15", true},
		"little memory":  {func(f *facts) { f.memory = 2 << 30 }, "2.0 GiB of memory: want 4", true},
		"memory in use":  {func(f *facts) { f.available = 1 << 30 }, "1.0 GiB of memory are available", false},
		"ufw":            {func(f *facts) { f.dropping = []string{"ip filter INPUT (ufw)"} }, "`ufw allow in on hz", false},
		"firewalld":      {func(f *facts) { f.dropping = []string{"inet firewalld filter_INPUT"} }, "`firewall-cmd --zone=trusted --add-interface=hz", false},
		"a drop policy":  {func(f *facts) { f.dropping = []string{"inet filter input"} }, "add `iifname \"hz", false},
		"cannot be seen": {func(f *facts) { f.unknown = []error{os.ErrPermission} }, "permission denied", false},
	} {
		t.Run(name, func(t *testing.T) {
			f := good()
			test.change(&f)
			found := judge(f, cloud)
			if test.want == "" {
				assert.Empty(t, found)
				return
			}
			require.Len(t, found, 1)
			assert.Contains(t, found[0].text, test.want)
			assert.Equal(t, test.stops, found[0].stops)
		})
	}
}

func TestAllAtOnce(t *testing.T) {
	f := good()
	f.root, f.bridgeFilter, f.memory = false, false, 1<<30
	assert.Len(t, judge(f, cloud), 3)
}

// With the tools built, three GiB of disk do.
func TestRoomOnceBuilt(t *testing.T) {
	f, t2 := good(), cloud
	f.disks, t2.built = []disk{{"/", 4 << 30}}, true
	assert.Empty(t, judge(f, t2))
	f.disks[0].free = 2 << 30
	assert.Len(t, judge(f, t2), 1)
}

func TestOlder(t *testing.T) {
	for version, want := range map[string]bool{"19.03.15": true, "20.10.24+dfsg1": false, "20.9": true, "28.2.2": false, "29": false, "dev": true} {
		assert.Equal(t, want, older(version, oldestDocker), version)
	}
}

// Ubuntu has /etc/debian_version too, so os-release is asked.
func TestOSRelease(t *testing.T) {
	id, version, name := osRelease("PRETTY_NAME=\"Ubuntu 24.04.1 LTS\"\nVERSION_ID=\"24.04\"\nID=ubuntu\nID_LIKE=debian\n")
	assert.Equal(t, []string{"ubuntu", "24.04", "Ubuntu 24.04.1 LTS"}, []string{id, version, name})
	_, _, name = osRelease("")
	assert.Equal(t, "an unknown system", name)
}

func TestListenersOfThisHost(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		socket, err := net.Listen("tcp", address)
		if err != nil && strings.HasPrefix(address, "[") {
			continue // no IPv6 here
		}
		require.NoError(t, err)
		at := netip.MustParseAddrPort(socket.Addr().String())
		found, err := listeners([]uint16{at.Port()})
		require.NoError(t, err)
		require.Len(t, found, 1)
		assert.Equal(t, at, found[0].at)
		assert.Contains(t, found[0].process, "preflight.test (pid ")
		require.NoError(t, socket.Close())
		found, err = listeners([]uint16{at.Port()})
		require.NoError(t, err)
		assert.Empty(t, found)
	}
	_, err := listening("0: nonsense:1F90 0 01 4 5 6 7 8 9\n")
	require.NoError(t, err, "not in the state of a listener")
	_, err = listening("0: nonsense:1F90 0 0A 4 5 6 7 8 9\n")
	require.ErrorContains(t, err, "nonsense")
}

func TestDropping(t *testing.T) {
	chain := func(family, table, name, hook, policy string) string {
		return `{"chain":{"family":"` + family + `","table":"` + table + `","name":"` + name + `","hook":"` + hook + `","policy":"` + policy + `"}}`
	}
	docker := chain("ip", "filter", "FORWARD", "forward", "drop") + "," + chain("ip", "filter", "DOCKER-USER", "", "")
	for list, want := range map[string][]string{
		docker: nil, // it lets its own bridges through
		docker + "," + chain("inet", "filter", "input", "input", "drop"):                                                 {"inet filter input"},
		docker + "," + chain("ip", "filter", "INPUT", "input", "drop") + "," + chain("ip", "filter", "ufw-user", "", ""): {"ip filter INPUT (ufw)"},
		chain("inet", "firewalld", "filter_INPUT", "input", "accept"):                                                    {"inet firewalld filter_INPUT"},
		chain("inet", "filter", "forward", "forward", "drop"):                                                            {"inet filter forward"},
		chain("inet", "filter", "output", "output", "drop") + "," + chain("inet", "x", "input", "input", "accept"):       nil,
	} {
		got, err := droppingOf([]byte(`{"nftables":[{"metainfo":{}},` + list + `]}`))
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
}

func TestMemory(t *testing.T) {
	total, available := memory("MemTotal:       16384 kB\nMemFree: 1 kB\nMemAvailable:    1024 kB\n")
	assert.EqualValues(t, 16<<20, total)
	assert.EqualValues(t, 1<<20, available)
}

// The private network is the configured one, and this host is asked without an error.
func TestTargetAndHost(t *testing.T) {
	checkout := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(checkout, "Pulumi.local.yaml"), []byte("config:\n  hashistack:network: 10.77.0.0/16\n"), 0o600))
	target, err := targetOf(checkout)
	require.NoError(t, err)
	assert.Equal(t, "10.77.0.0/16", target.private.String())
	ours, err := targetOf("../..")
	require.NoError(t, err)
	f := gather(t.Context(), ours)
	assert.Empty(t, f.unknown)
	assert.NotEmpty(t, f.systemName)
	assert.NotEmpty(t, f.disks)
	assert.NotZero(t, f.memory)
}
