//go:build docker

package machine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"hashistack/localcloud/image"
	"hashistack/localcloud/machine"
	"hashistack/localcloud/metadata"
	"hashistack/localcloud/mirror"
)

// The tests' own cloud, beside one that may be running.
const (
	cloudName   = "localcloud-test"
	cloudState  = "/the/tests/own/state"
	publicRange = "198.19.0.0/16"
	mirrorURL   = "http://198.19.0.1:8582"
	networkID   = 7
)

var networkRange = netip.MustParsePrefix("10.213.0.0/16")

// cloud is a runtime with its mirror and metadata service.
type cloud struct {
	*machine.Docker
	t        testing.TB
	opts     machine.Options
	packages http.Handler
	servers  []*http.Server
	end      context.CancelFunc // ends the runtime, not its machines
	specs    *specs
}

// specs are what the machines were made from: what the metadata service knows about them.
type specs struct {
	mu  sync.Mutex
	all map[int64]machine.Spec
}

func (s *specs) instance(id int64) (metadata.Instance, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	spec, found := s.all[id]
	return metadata.Instance{
		ID: id, Hostname: spec.Name, PublicIPv4: spec.Public, PublicKeys: spec.SSHKeys, UserData: spec.UserData,
	}, found
}

// Create is the runtime's, for machines that the metadata service knows.
func (c *cloud) Create(ctx context.Context, spec machine.Spec) error {
	c.specs.mu.Lock()
	c.specs.all[spec.ID] = spec
	c.specs.mu.Unlock()
	return c.Docker.Create(ctx, spec)
}

func cacheDir(t testing.TB) string {
	t.Helper()
	dir, err := os.UserCacheDir()
	require.NoError(t, err)
	return filepath.Join(dir, "hashistack")
}

// newCloud starts an empty cloud and removes it after the test.
func newCloud(t testing.TB) *cloud {
	t.Helper()
	ctx := t.Context()
	engine, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	require.NoError(t, err)
	_, err = engine.Ping(ctx)
	require.NoError(t, err, "these tests need a Docker engine: start one, or leave out -tags docker")

	img, err := image.Ensure(ctx, engine, image.Options{Cache: filepath.Join(cacheDir(t), "image"), Progress: os.Stderr})
	require.NoError(t, err)
	packages, err := mirror.New(ctx, mirror.Options{
		Tools: "../../tools", Binaries: "../../.tools/bin", Debian: img.Packages, Cache: filepath.Join(cacheDir(t), "mirror"),
	})
	require.NoError(t, err)

	c := &cloud{t: t, opts: machine.Options{
		Name: cloudName, State: cloudState, Image: img, PublicRange: netip.MustParsePrefix(publicRange), Mirror: mirrorURL, MirrorKey: packages.Key(),
		MetadataPort: 8583, Log: slog.New(slog.NewTextHandler(testLog{t}, nil)),
	}, packages: packages, specs: &specs{all: map[int64]machine.Spec{}}, end: func() {}}
	t.Cleanup(c.remove)
	c.start()
	require.NoError(t, c.CreateNetwork(ctx, networkID, networkRange))
	return c
}

// start makes the runtime and serves what machines ask for.
func (c *cloud) start() {
	c.t.Helper()
	var running context.Context
	running, c.end = context.WithCancel(context.Background()) // it outlives the part of a test that starts it
	var err error
	c.Docker, err = machine.NewDocker(running, c.opts)
	require.NoError(c.t, err)
	c.serve(strings.TrimPrefix(mirrorURL, "http://"), c.packages)
	c.serveMetadata()
}

func (c *cloud) serveMetadata() {
	c.t.Helper()
	for _, address := range c.metadataAddresses() {
		c.serve(address, metadata.Handler(c.opts.Log, c.Caller, c.specs.instance))
	}
}

func (c *cloud) serve(address string, handler http.Handler) {
	c.t.Helper()
	listener, err := net.Listen("tcp", address)
	require.NoError(c.t, err)
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	c.servers = append(c.servers, server)
	go func() { _ = server.Serve(listener) }()
}

// part is t.Run in which the helpers fail the part, not the whole test.
func (c *cloud) part(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) {
		whole := c.t
		c.t = t
		defer func() { c.t = whole }()
		f(t)
	})
}

func (c *cloud) state(want machine.State) error {
	got, err := c.State(c.t.Context(), 1)
	if err == nil && got != want {
		err = fmt.Errorf("want the machine %s, got %s", want, got)
	}
	return err
}

func (c *cloud) is(want machine.State) {
	c.t.Helper()
	require.NoError(c.t, c.state(want))
}

// eventually polls until check has no more to say against it, and reports its last word when it runs out of time.
func (c *cloud) eventually(limit time.Duration, check func() error) {
	c.t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			require.NoError(c.t, err, "after %s", limit)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// remove cleans up the cloud as another process would, which knows only its name.
func (c *cloud) remove() {
	c.end()
	for _, server := range c.servers {
		require.NoError(c.t, server.Close())
	}
	c.servers = nil
	stranger, err := machine.Open(machine.Options{Name: cloudName, State: cloudState})
	require.NoError(c.t, err)
	require.NoError(c.t, stranger.Cleanup(context.Background()))
}

type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// spec describes the n-th machine of a test.
func spec(n int, userData string) machine.Spec {
	return machine.Spec{
		ID: int64(n), Name: fmt.Sprintf("m%d", n), UserData: userData, Cores: 2, MemoryMiB: 4096,
		Public:  netip.AddrFrom4([4]byte{198, 19, 0, byte(10 + n)}),
		Private: []machine.Attachment{{Network: networkID, Address: netip.AddrFrom4([4]byte{10, 213, 1, byte(10 + n)})}},
	}
}

func (c *cloud) create(s machine.Spec) {
	c.t.Helper()
	require.NoError(c.t, c.Create(c.t.Context(), s))
	require.NoError(c.t, c.PowerOn(c.t.Context(), s.ID))
}

// run returns what the command prints on machine 1; it must succeed.
func (c *cloud) run(command string) string {
	c.t.Helper()
	out, err := c.try(1, command)
	require.NoError(c.t, err)
	return out
}

func (c *cloud) try(id int64, command string) (string, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Minute)
	defer cancel()
	var out bytes.Buffer
	code, err := c.Exec(ctx, id, nil, &out, &out, "sh", "-c", command)
	if err == nil && code != 0 {
		err = fmt.Errorf("machine %d: %s: exit code %d: %s", id, command, code, out.String())
	}
	return strings.TrimSpace(out.String()), err
}

// booted waits for cloud-init's end and fails unless it ended well.
func (c *cloud) booted(id int64) {
	c.t.Helper()
	// A container is there a moment before its systemd and cloud-init are.
	c.eventually(5*time.Minute, func() error {
		out, err := c.try(id, "cloud-init status --wait --long")
		if err == nil && !strings.Contains(out, "status: done") {
			err = fmt.Errorf("want cloud-init done, got %s", out)
		}
		if err != nil {
			console, _ := c.Console(c.t.Context(), id, 30)
			err = fmt.Errorf("%w\nconsole:\n%s", err, console)
		}
		return err
	})
}

// cloudConfig renders user-data that installs packages from both repositories, as the platform's does.
func cloudConfig(t testing.TB, key string, packages ...string) string {
	t.Helper()
	config, err := yaml.Marshal(map[string]any{
		"write_files": []map[string]any{{"path": "/etc/from-user-data", "content": "hello\n", "permissions": "0640"}},
		"apt": map[string]any{"sources": map[string]any{"hashicorp": map[string]any{
			"source": "deb [signed-by=$KEY_FILE] " + mirrorURL + "/hashicorp bookworm main", "key": key,
		}}},
		"package_update": true,
		"packages":       packages,
		"runcmd":         []any{[]string{"touch", "/root/ran"}},
	})
	require.NoError(t, err)
	return "#cloud-config\n" + string(config)
}

var allPackages = []string{"consul", "consul-template", "nomad", "vault", "systemd-resolved"}

func mirrorKey(t testing.TB) string {
	t.Helper()
	reply, err := http.Get(mirrorURL + "/key.asc")
	require.NoError(t, err)
	key, err := io.ReadAll(reply.Body)
	require.NoError(t, errors.Join(err, reply.Body.Close()))
	return string(key)
}

// TestBoot boots one machine with what a platform's user-data asks for.
func TestBoot(t *testing.T) {
	c := newCloud(t)
	s := spec(1, cloudConfig(t, mirrorKey(t), append(allPackages, "containernetworking-plugins")...))
	s.SSHKeys = []string{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1lWWvDCpuPI3KzgsTd6QyAzwBbJrvV7KmCRUaCrmzL somebody"}
	c.create(s)
	c.booted(1)

	c.part(t, "systemd", func(t *testing.T) {
		assert.Equal(t, "running", c.run("systemctl is-system-running --wait"), c.run("systemctl --failed"))
	})
	c.part(t, "user-data", func(t *testing.T) {
		assert.Equal(t, "hello", c.run("cat /etc/from-user-data"))
		assert.Equal(t, "640", c.run("stat -c %a /etc/from-user-data"))
		c.run("test -e /root/ran")
		assert.Equal(t, "m1", c.run("hostname"))
		assert.Contains(t, c.run("getent ahostsv4 m1"), "127.0.1.1")
		assert.Contains(t, c.run("cat /root/.ssh/authorized_keys"), "somebody")
	})
	c.part(t, "packages", func(t *testing.T) {
		for _, product := range []string{"consul", "nomad", "vault"} {
			c.run("id " + product)
			c.run(product + " version")
			c.run("systemctl cat " + product)
			assert.Equal(t, product+":"+product, c.run("stat -c %U:%G /etc/"+product+".d"))
		}
		c.run("consul-template -version")
		assert.Contains(t, c.run("apt-cache policy vault"), mirrorURL+"/hashicorp bookworm/main")
	})
	c.part(t, "name resolution", func(t *testing.T) {
		assert.Equal(t, "/run/systemd/resolve/stub-resolv.conf", c.run("realpath /etc/resolv.conf"))
		// Debian 12 starts it before the message bus knows its name: resolvectl finds it only after a restart.
		c.run("systemctl restart systemd-resolved")
		assert.Contains(t, c.run("resolvectl query m1"), "127.0.1.1")
		_, err := c.try(1, "getent hosts example.com")
		require.Error(t, err, "there is no world outside")
	})
	c.part(t, "interfaces", func(t *testing.T) {
		assert.Contains(t, c.run("ip -brief -4 address show eth0"), "198.19.0.11/16")
		assert.Contains(t, c.run("ip -brief -4 address show eth1"), "10.213.1.11/16")
		assert.Contains(t, c.run("ip link show eth0"), "mtu 1400")
		assert.NotContains(t, c.run("nft list ruleset"), "127.0.0.11", "Docker's own name server")
	})
	c.part(t, "console and journal", func(t *testing.T) {
		console, err := c.Console(t.Context(), 1, 1000)
		require.NoError(t, err)
		assert.Contains(t, console, "Cloud-init target")
		journal, err := c.Journal(t.Context(), 1, "cloud-final", 20)
		require.NoError(t, err)
		assert.Contains(t, journal, "finished at")
	})
	c.part(t, "exec", func(t *testing.T) {
		var out, errOut bytes.Buffer
		code, err := c.Exec(t.Context(), 1, strings.NewReader("to stdin"), &out, &errOut, "sh", "-c", "cat; echo to stderr >&2; exit 3")
		require.NoError(t, err)
		assert.Equal(t, 3, code)
		assert.Equal(t, "to stdin", out.String())
		assert.Equal(t, "to stderr\n", errOut.String())
	})
	c.part(t, "nomad", func(t *testing.T) { nomadRuns(t, c) })
}

// nomadRuns proves that a machine can be a Nomad client: the exec driver with its chroot, and bridge networking.
func nomadRuns(t *testing.T, c *cloud) {
	write := func(path, content string) {
		t.Helper()
		code, err := c.Exec(t.Context(), 1, strings.NewReader(content), nil, nil, "tee", path)
		require.NoError(t, err)
		require.Zero(t, code)
	}
	config, err := os.ReadFile("testdata/nomad.hcl")
	require.NoError(t, err)
	job, err := os.ReadFile("testdata/job.nomad.hcl")
	require.NoError(t, err)
	write("/etc/nomad.d/nomad.hcl", string(config))
	write("/root/job.nomad.hcl", string(job))
	c.run("systemctl start nomad")
	c.eventually(time.Minute, func() error { _, err := c.try(1, "nomad node status -self -short | grep -q ready"); return err })
	c.run("nomad job run -detach /root/job.nomad.hcl")
	c.eventually(time.Minute, func() error {
		out, err := c.try(1, "curl --silent --fail http://198.19.0.11:8080/index.html || nomad alloc status -json | tail -60")
		if err == nil && out != "hello from a chroot" {
			err = fmt.Errorf("want the job's page, got %s", out)
		}
		return err
	})
	c.run("nomad job stop -purge hello")
}

// TestReach tries every way between machines, host and outside: the allowed ones and the refused ones.
func TestReach(t *testing.T) {
	c := newCloud(t)
	for n := 1; n <= 2; n++ {
		c.create(spec(n, serveUserData))
	}
	c.booted(1)
	c.booted(2)
	const open, other = "198.19.0.11:80", "198.19.0.11:81"
	fromPeer := func(address string) error {
		_, err := c.try(2, "curl --silent --fail --max-time 2 http://"+address)
		return err
	}

	c.part(t, "no firewall: all is open", func(t *testing.T) {
		for _, address := range []string{open, other} {
			c.eventually(10*time.Second, func() error { return dial(address) }) // until it listens
			require.NoError(t, fromPeer(address))
		}
	})
	c.part(t, "firewall", func(t *testing.T) {
		standing, err := net.Dial("tcp", other)
		require.NoError(t, err)
		t.Cleanup(func() { _ = standing.Close() })

		host := netip.MustParsePrefix("198.19.0.1/32")
		require.NoError(t, c.SetFirewall(t.Context(), 1, true, []machine.Rule{{Protocol: "tcp", Ports: "80", Sources: []netip.Prefix{host}}}))
		require.NoError(t, dial(open))
		require.Error(t, dial(other), "not in the rules")
		require.Error(t, fromPeer(open), "not from this source")
		require.NoError(t, fromPeer("10.213.1.11:81"), "private networks are not filtered")
		_, err = c.try(1, "curl --silent --fail --max-time 2 http://198.19.0.12:80")
		require.NoError(t, err, "outbound is open")
		_, err = c.try(1, "nft flush ruleset")
		require.NoError(t, err)
		require.Error(t, dial(other), "the guest has no hand in it")

		_, err = fmt.Fprint(standing, "GET / HTTP/1.0\r\n\r\n")
		require.NoError(t, err)
		require.NoError(t, standing.SetReadDeadline(time.Now().Add(5*time.Second)))
		reply := make([]byte, 8)
		_, err = io.ReadFull(standing, reply)
		require.NoError(t, err, "connections that stand are kept")

		require.NoError(t, c.SetFirewall(t.Context(), 1, true, []machine.Rule{
			{Protocol: "tcp", Ports: "80-81", Sources: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}},
		}))
		require.NoError(t, dial(other))
		require.NoError(t, fromPeer(open))
		require.NoError(t, c.SetFirewall(t.Context(), 1, true, nil))
		require.Error(t, dial(open), "no rule, nothing in")
		require.NoError(t, c.SetFirewall(t.Context(), 1, false, nil))
		require.NoError(t, dial(open))
	})
	c.part(t, "machines see the mirror and nothing else of the host", func(t *testing.T) {
		c.run("curl --silent --fail " + mirrorURL + "/key.asc")
		listener, err := net.Listen("tcp", "198.19.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { _ = listener.Close() })
		require.NoError(t, dial(listener.Addr().String()))
		_, err = c.try(1, "nc -z -w 2 198.19.0.1 "+port(listener.Addr()))
		require.Error(t, err)
		_, err = c.try(1, "nc -z -w 2 10.213.0.1 "+port(listener.Addr()))
		require.Error(t, err)
	})
	c.part(t, "no way to the outside", func(t *testing.T) {
		// A place outside that answers: the host's own address on another network.
		listener, err := net.Listen("tcp", "172.17.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { _ = listener.Close() })
		require.NoError(t, dial(listener.Addr().String()))
		_, err = c.try(1, "nc -z -w 2 172.17.0.1 "+port(listener.Addr()))
		require.Error(t, err)
		start := time.Now()
		_, err = c.try(1, "nc -z -w 30 192.0.2.1 80")
		require.Error(t, err)
		assert.Less(t, time.Since(start), 5*time.Second, "refused and not left to time out")
	})
	c.part(t, "the host is not in private networks", func(t *testing.T) {
		require.Error(t, dial("10.213.1.11:80"))
	})
	c.part(t, "attach and detach while it runs", func(t *testing.T) {
		require.NoError(t, c.Detach(t.Context(), 1, networkID))
		require.Error(t, fromPeer("10.213.1.11:80"))
		require.NoError(t, c.Attach(t.Context(), 1, machine.Attachment{Network: networkID, Address: netip.MustParseAddr("10.213.1.99")}))
		require.NoError(t, fromPeer("10.213.1.99:80"))
	})
}

// serveUserData makes a machine answer on the ports 80 and 81 of all its addresses, after each boot.
const serveUserData = `#cloud-config
write_files:
- path: /etc/systemd/system/serve@.service
  content: |
    [Service]
    ExecStart=/usr/bin/busybox httpd -f -p %i -h /srv
    [Install]
    WantedBy=multi-user.target
- path: /srv/index.html
  content: here
runcmd:
- systemctl enable --now serve@80 serve@81
`

func dial(address string) error {
	conn, err := net.DialTimeout("tcp", address, 2*time.Second)
	if err != nil {
		return err
	}
	return conn.Close()
}

func port(address net.Addr) string { return fmt.Sprint(address.(*net.TCPAddr).Port) }

// TestPower goes through all that can happen to a machine's power, and looks at the state and the disk.
func TestPower(t *testing.T) {
	c := newCloud(t)
	ctx := t.Context()
	_, err := c.State(ctx, 1)
	require.ErrorIs(t, err, machine.ErrNotFound)
	require.ErrorIs(t, c.PowerOn(ctx, 1), machine.ErrNotFound)

	require.NoError(t, c.Create(ctx, spec(1, "#cloud-config\n")))
	c.is(machine.Off)
	require.NoError(t, c.PowerOn(ctx, 1))
	require.NoError(t, c.PowerOn(ctx, 1), "twice is no error")
	c.booted(1)
	c.is(machine.Running)
	c.run("echo precious > /var/lib/data && echo gone > /run/scratch")

	const booted = "cut -d' ' -f22 /proc/1/stat" // proc(5): when the first process started
	restarted := func(what string, how func()) {
		c.part(t, what, func(t *testing.T) {
			before := c.run(booted)
			how()
			c.eventually(time.Minute, func() error {
				now, err := c.try(1, booted)
				if err == nil && now == before {
					err = errors.New("want a restart, got the same first process")
				}
				return err
			})
			c.eventually(time.Minute, func() error { _, err := c.try(1, "systemctl is-system-running --wait"); return err })
			c.is(machine.Running)
			assert.Equal(t, "precious", c.run("cat /var/lib/data"))
			c.run("test ! -e /run/scratch")
			require.NoError(t, dial("198.19.0.11:22"), "its address came back")
			c.run("echo gone > /run/scratch")
		})
	}
	restarted("reboot from within", func() { _, _ = c.try(1, "reboot") })
	restarted("reboot from outside", func() { require.NoError(t, c.Reboot(ctx, 1)) })
	restarted("reset", func() { require.NoError(t, c.Reset(ctx, 1)) })
	restarted("power off and on", func() {
		require.NoError(t, c.PowerOff(ctx, 1))
		c.is(machine.Off)
		require.NoError(t, c.PowerOff(ctx, 1), "twice is no error")
		require.NoError(t, c.PowerOn(ctx, 1))
	})
	for what, how := range map[string]func(){
		"power-off from within": func() { _, _ = c.try(1, "poweroff") },
		"shutdown":              func() { require.NoError(t, c.Shutdown(ctx, 1)) },
	} {
		restarted(what, func() {
			how()
			c.eventually(time.Minute, func() error { return c.state(machine.Off) })
			// A machine that came back by itself would do so within the time of a boot.
			require.Never(t, func() bool { return c.state(machine.Off) != nil }, 3*time.Second, 100*time.Millisecond)
			require.NoError(t, c.PowerOn(ctx, 1))
		})
	}
	restarted("power off in the middle of a reboot", func() {
		require.NoError(t, c.Reboot(ctx, 1))
		c.eventually(time.Minute, func() error { // until the guest is gone or going
			if _, err := c.try(1, "test -d /run/systemd/system"); err == nil {
				return errors.New("want the guest down, got it up")
			}
			return nil
		})
		require.NoError(t, c.PowerOff(ctx, 1))
		require.Never(t, func() bool { return c.state(machine.Off) != nil }, 3*time.Second, 50*time.Millisecond)
		require.NoError(t, c.PowerOn(ctx, 1))
	})
	c.part(t, "resize", func(t *testing.T) {
		require.NoError(t, c.PowerOff(ctx, 1))
		larger := spec(1, "#cloud-config\n")
		larger.MemoryMiB *= 4
		require.NoError(t, c.Resize(ctx, larger))
		require.NoError(t, c.PowerOn(ctx, 1))
		c.booted(1)
		_, err := c.try(1, "test -e /var/lib/data")
		require.NoError(t, err, "the same disk")
		require.NoError(t, c.PowerOff(ctx, 1))
		require.NoError(t, c.Resize(ctx, spec(1, "#cloud-config\n")))
		require.NoError(t, c.PowerOn(ctx, 1))
		c.booted(1)
	})
	c.part(t, "rebuild", func(t *testing.T) {
		require.NoError(t, c.Rebuild(ctx, spec(1, "#cloud-config\n")))
		c.booted(1)
		_, err := c.try(1, "test -e /var/lib/data")
		require.Error(t, err, "a fresh disk")
	})
	c.part(t, "delete", func(t *testing.T) {
		require.NoError(t, c.Delete(ctx, 1))
		require.NoError(t, c.Delete(ctx, 1), "twice is no error")
		_, err := c.State(ctx, 1)
		require.ErrorIs(t, err, machine.ErrNotFound)
	})
}

// TestTakeOver ends the runtime while its machine runs, and starts another.
func TestTakeOver(t *testing.T) {
	c := newCloud(t)
	c.create(spec(1, serveUserData))
	c.booted(1)
	c.end() // now nothing starts a rebooted machine again
	_, _ = c.try(1, "reboot")
	c.eventually(time.Minute, func() error {
		if _, err := c.try(1, "true"); err == nil {
			return errors.New("want the machine down, got it up")
		}
		return nil
	})

	second, err := machine.NewDocker(t.Context(), c.opts)
	require.NoError(t, err)
	state, err := second.State(t.Context(), 1)
	require.NoError(t, err)
	assert.Equal(t, machine.Running, state)
	c.booted(1)
	c.eventually(time.Minute, func() error { return dial("198.19.0.11:80") })
}

const bridgeFilter = "/proc/sys/net/bridge/bridge-nf-call-ip6tables"

// TestCleanup compares the host before and after a cloud.
func TestCleanup(t *testing.T) {
	c := newCloud(t)
	_, bridge := c.metadataIPv6()
	was, err := os.ReadFile(bridgeFilter)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.WriteFile(bridgeFilter, was, 0o644)) })
	traces := func() string {
		var all strings.Builder
		for _, command := range []string{
			"docker ps --all --quiet --filter label=hashistack.localcloud=" + cloudName,
			"docker volume ls --quiet --filter label=hashistack.localcloud=" + cloudName,
			"docker network ls --quiet --filter label=hashistack.localcloud=" + cloudName,
			"ip -brief address | grep -e 198.19 -e 10.213 || true", "ip route | grep -e 198.19 -e 10.213 || true",
			"nft list tables | grep localcloud_localcloud_test || true", "ip -6 -brief address show dev " + bridge + " 2>/dev/null || true",
			"ip route get 169.254.169.254", "cat " + bridgeFilter, "ls /run/localcloud 2>/dev/null || true",
		} {
			out, err := exec.Command("sh", "-c", command).Output()
			require.NoError(t, err, command)
			fmt.Fprintf(&all, "%s:\n%s", command, out)
		}
		return all.String()
	}
	assert.Contains(t, traces(), "fe80::a9fe:a9fe/64")
	c.remove()
	require.NoError(t, os.WriteFile(bridgeFilter, []byte("0"), 0o644))
	before := traces()

	c = newCloud(t)
	value, err := os.ReadFile(bridgeFilter)
	require.NoError(t, err)
	assert.Equal(t, "1\n", string(value))
	c.create(spec(1, ""))
	require.NoError(t, c.Create(t.Context(), spec(2, "")))
	assert.NotEqual(t, before, traces())
	c.remove()
	assert.Equal(t, before, traces())
}

// TestAnotherState leaves what a cloud of the same name made alone, on the way up and on the way down.
func TestAnotherState(t *testing.T) {
	c := newCloud(t)
	require.NoError(t, c.Create(t.Context(), spec(1, "")))
	for state, want := range map[string]string{
		"/another/state": `the local cloud "localcloud-test" of /the/tests/own/state made container localcloud-test-1, volume localcloud-test-1-disk, network`,
		"":               "localcloud down --name localcloud-test --state /the/tests/own/state",
	} {
		opts := c.opts
		opts.State = state
		other, err := machine.Open(opts)
		require.NoError(t, err)
		require.ErrorContains(t, other.Cleanup(t.Context()), want)
		_, err = machine.NewDocker(t.Context(), opts)
		require.ErrorContains(t, err, want)
	}
	c.is(machine.Off) // it is still there
	require.NoError(t, c.CreateNetwork(t.Context(), 8, netip.MustParsePrefix("10.214.0.0/16")), "so is the firewall's table, and the way in")
	require.NoError(t, c.Mine(t.Context()), "the permitted twin")
}

// BenchmarkBoot measures from power-on to cloud-init's end with all packages installed, for one machine and for a
// platform's worth of them at once.
func BenchmarkBoot(b *testing.B) {
	for _, machines := range []int{1, 5} {
		b.Run(fmt.Sprint(machines), func(b *testing.B) {
			for range b.N { // not b.Loop, which wants the timer running at the end of a round
				b.StopTimer()
				c := newCloud(b)
				for n := range machines {
					require.NoError(b, c.Create(b.Context(), spec(n, cloudConfig(b, mirrorKey(b), allPackages...))))
				}
				b.StartTimer()
				var group sync.WaitGroup
				for n := range machines {
					require.NoError(b, c.PowerOn(b.Context(), int64(n)))
					group.Go(func() { c.booted(int64(n)) })
				}
				group.Wait()
				b.StopTimer()
				c.remove()
			}
		})
	}
}
