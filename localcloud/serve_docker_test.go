//go:build docker

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/localcloud/api"
)

const token = "a-token-for-this-test"

// pages is user-data for a machine that serves its host name, and what the metadata service tells it, on ports 80 and 81,
// and does so again after a reboot.
const pages = `#cloud-config
write_files:
- path: /etc/systemd/system/page@.service
  content: |
    [Service]
    WorkingDirectory=/srv
    ExecStart=/usr/bin/python3 -m http.server %i
    [Install]
    WantedBy=multi-user.target
runcmd:
- hostname > /srv/index.html
- curl --silent --output-dir /srv --remote-name-all http://169.254.169.254/hetzner/v1/metadata http://169.254.169.254/hetzner/v1/metadata/private-networks http://169.254.169.254/hetzner/v1/userdata
- systemctl enable --now page@80 page@81
`

// running is a local cloud that was started by start.
type running struct {
	*hcloud.Client
	t       *testing.T
	ctx     context.Context
	control string
	// stop ends the local cloud as SIGTERM would.
	stop func()
}

func start(t *testing.T, o serveOptions) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, o) }()
	r := &running{t: t, control: "http://" + o.control}
	stopped := false
	r.stop = func() {
		if !stopped {
			stopped = true
			cancel()
			require.NoError(t, <-ended)
		}
	}
	t.Cleanup(r.stop)
	var deadline context.CancelFunc
	r.ctx, deadline = context.WithTimeout(context.Background(), 10*time.Minute)
	t.Cleanup(deadline)
	var failed error
	require.Eventually(t, func() bool {
		select {
		case failed = <-ended:
			stopped = true
			return true
		default:
		}
		return r.get(r.control+"/healthz") != ""
	}, 8*time.Minute, 100*time.Millisecond, "the local cloud is up; a first start builds the machine image")
	require.False(t, stopped, "the local cloud ended before it was up: %v", failed)
	r.Client = hcloud.NewClient(hcloud.WithEndpoint("http://"+o.listen+"/v1"), hcloud.WithToken(token))
	return r
}

// get returns the body of a page, or nothing when it does not answer.
func (r *running) get(url string) string {
	client := http.Client{Timeout: 2 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		return ""
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return ""
	}
	return string(body)
}

func (r *running) wait(actions ...*hcloud.Action) {
	r.t.Helper()
	require.NoError(r.t, r.Action.WaitFor(r.ctx, actions...))
}

func (r *running) eventually(url, want string) {
	r.t.Helper()
	var got string
	require.Eventually(r.t, func() bool { got = r.get(url); return got == want }, 2*time.Minute, 200*time.Millisecond,
		"%s: want %q, got %q", url, want, got)
}

func (r *running) powerOff(s *hcloud.Server) {
	r.t.Helper()
	act, _, err := r.Server.Poweroff(r.ctx, s)
	require.NoError(r.t, err)
	r.wait(act)
}

func (r *running) powerOn(s *hcloud.Server) {
	r.t.Helper()
	act, _, err := r.Server.Poweron(r.ctx, s)
	require.NoError(r.t, err)
	r.wait(act)
}

// readdress gives a server another public address, which is refused until it is off.
func (r *running) readdress(s *hcloud.Server) *hcloud.Server {
	r.t.Helper()
	old := s.PublicNet.IPv4.ID
	_, _, err := r.PrimaryIP.Unassign(r.ctx, old)
	require.True(r.t, hcloud.IsError(err, hcloud.ErrorCodeServerNotStopped), "%v", err)
	r.powerOff(s)
	act, _, err := r.PrimaryIP.Unassign(r.ctx, old)
	require.NoError(r.t, err)
	r.wait(act)
	created, _, err := r.PrimaryIP.Create(r.ctx, hcloud.PrimaryIPCreateOpts{
		Name: "another", Type: hcloud.PrimaryIPTypeIPv4, AssigneeType: "server", AssigneeID: &s.ID,
	})
	require.NoError(r.t, err)
	r.wait(created.Action)
	r.powerOn(s)
	s, _, err = r.Server.GetByID(r.ctx, s.ID)
	require.NoError(r.t, err)
	return s
}

// lastPort is the last port that was handed out. It starts below the range from which the kernel takes ports for
// outgoing connections: the local cloud may build an image before it listens, and a connection could take the port
// meanwhile.
var lastPort = 18579

func freeAddress(t *testing.T) string {
	t.Helper()
	for lastPort < 19000 {
		lastPort++
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(lastPort))
		if l, err := net.Listen("tcp", address); err == nil {
			require.NoError(t, l.Close())
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

// TestServeOnDocker goes through the life of a server on real machines: boot, firewall, restart of the local cloud, power
// cycle, another public address, deletion; and expects that nothing remains.
func TestServeOnDocker(t *testing.T) {
	dir := t.TempDir()
	tokenFile := filepath.Join(dir, "token")
	require.NoError(t, os.WriteFile(tokenFile, []byte(token+"\n"), 0o600))
	o := serveOptions{
		cloudOptions: cloudOptions{name: "localcloud-serve-test", state: filepath.Join(dir, "state"), publicRange: "203.0.113.0/24"},
		listen:       freeAddress(t), control: freeAddress(t), mirrorPort: 8582, metadataPort: 8583, tokenFile: tokenFile, limits: api.DefaultLimits,
		tools: "../tools", binaries: "../.tools/bin",
	}
	down := func() error {
		cmd := downCommand()
		cmd.SetArgs([]string{"--name", o.name, "--state", o.state, "--public-range", o.publicRange})
		return cmd.Execute()
	}
	t.Cleanup(func() { require.NoError(t, down()) })
	r := start(t, o)

	_, ipRange, err := net.ParseCIDR("10.99.0.0/16")
	require.NoError(t, err)
	_, subnet, err := net.ParseCIDR("10.99.1.0/24")
	require.NoError(t, err)
	n, _, err := r.Network.Create(r.ctx, hcloud.NetworkCreateOpts{Name: "net", IPRange: ipRange, Subnets: []hcloud.NetworkSubnet{
		{Type: hcloud.NetworkSubnetTypeCloud, IPRange: subnet, NetworkZone: hcloud.NetworkZoneEUCentral},
	}})
	require.NoError(t, err)
	_, everyone, err := net.ParseCIDR("0.0.0.0/0")
	require.NoError(t, err)
	allow := func(port string) []hcloud.FirewallRule {
		return []hcloud.FirewallRule{{Direction: hcloud.FirewallRuleDirectionIn, Protocol: hcloud.FirewallRuleProtocolTCP, Port: &port, SourceIPs: []net.IPNet{*everyone}}}
	}
	fw, _, err := r.Firewall.Create(r.ctx, hcloud.FirewallCreateOpts{Name: "fw", Rules: allow("80")})
	require.NoError(t, err)
	result, _, err := r.Server.Create(r.ctx, hcloud.ServerCreateOpts{
		Name: "web", ServerType: &hcloud.ServerType{Name: "cx23"}, Image: &hcloud.Image{Name: "debian-12"}, UserData: pages,
		Networks: []*hcloud.Network{n}, Firewalls: []*hcloud.ServerCreateFirewall{{Firewall: *fw.Firewall}},
	})
	require.NoError(t, err)
	r.wait(append(result.NextActions, result.Action)...)
	s := result.Server
	page := func(port int) string { return fmt.Sprintf("http://%s:%d/index.html", s.PublicNet.IPv4.IP, port) }

	r.eventually(page(80), "web\n")
	assert.Empty(t, r.get(page(81)), "the firewall drops what no rule allows")
	assert.Empty(t, r.get("http://10.99.1.1/index.html"), "there is no way into the private network from outside")

	about := func(what string) string { return fmt.Sprintf("http://%s/%s", s.PublicNet.IPv4.IP, what) }
	assert.Equal(t, pages, r.get(about("userdata")))
	for _, want := range []string{"hostname: web\n", fmt.Sprintf("instance-id: %d\n", s.ID), fmt.Sprintf("public-ipv4: %s\n", s.PublicNet.IPv4.IP), "availability-zone: fsn1-dc14\n"} {
		assert.Contains(t, r.get(about("metadata")), want)
	}
	for _, want := range []string{"ip: 10.99.1.", "network_name: net\n", "network: 10.99.0.0/16\n", "subnet: 10.99.1.0/24\n"} {
		assert.Contains(t, r.get(about("private-networks")), want)
	}
	assert.Empty(t, r.get("http://203.0.113.1:8583/hetzner/v1/userdata"), "this host is no machine")

	acts, _, err := r.Firewall.SetRules(r.ctx, fw.Firewall, hcloud.FirewallSetRulesOpts{Rules: allow("81")})
	require.NoError(t, err)
	r.wait(acts...)
	assert.Equal(t, "web\n", r.get(page(81)))
	assert.Empty(t, r.get(page(80)))

	r.stop()
	assert.Equal(t, "web\n", r.get(page(81)), "machines go on without the local cloud")
	r = start(t, o)
	s, _, err = r.Server.GetByID(r.ctx, s.ID)
	require.NoError(t, err)
	assert.Equal(t, hcloud.ServerStatusRunning, s.Status)
	assert.Empty(t, r.get(page(80)), "the firewall stands")

	r.powerOff(s)
	assert.Empty(t, r.get(page(81)))
	s, _, err = r.Server.GetByID(r.ctx, s.ID)
	require.NoError(t, err)
	assert.Equal(t, hcloud.ServerStatusOff, s.Status)
	r.powerOn(s)
	r.eventually(page(81), "web\n")

	old := page(81)
	s = r.readdress(s)
	assert.NotEqual(t, old, page(81))
	r.eventually(page(81), "web\n")
	assert.Empty(t, r.get(page(80)), "the firewall came along")
	assert.Empty(t, r.get(old))
	r.stop()
	r = start(t, o)
	assert.Equal(t, "web\n", r.get(page(81)))
	assert.Empty(t, r.get(page(80)), "the firewall stands")

	deleted, _, err := r.Server.DeleteWithResult(r.ctx, s)
	require.NoError(t, err)
	r.wait(deleted.Action)
	assert.Empty(t, r.get(page(81)))

	r.stop()
	require.NoError(t, down())
	assert.NoDirExists(t, o.state)
	for _, leftover := range [][]string{
		{"docker", "ps", "--all", "--quiet", "--filter", "label=hashistack.localcloud=" + o.name},
		{"docker", "network", "ls", "--quiet", "--filter", "label=hashistack.localcloud=" + o.name},
		{"docker", "volume", "ls", "--quiet", "--filter", "label=hashistack.localcloud=" + o.name},
	} {
		out, err := exec.Command(leftover[0], leftover[1:]...).Output()
		require.NoError(t, err)
		assert.Empty(t, string(out), "%v", leftover)
	}
	tables, err := exec.Command("nft", "list", "tables").Output()
	require.NoError(t, err)
	assert.NotContains(t, string(tables), "localcloud_serve_test")
	addresses, err := exec.Command("ip", "address").Output()
	require.NoError(t, err)
	assert.NotContains(t, string(addresses), "203.0.113.")
}

// TestSecondCheckout has two state directories on one host, as two checkouts have. The second one can neither take over
// nor remove what the first one made, whether that runs or not.
func TestSecondCheckout(t *testing.T) {
	dir := t.TempDir()
	tokenFile := filepath.Join(dir, "token")
	require.NoError(t, os.WriteFile(tokenFile, []byte(token), 0o600))
	first := serveOptions{
		cloudOptions: cloudOptions{name: "localcloud-two-test", state: filepath.Join(dir, "first"), publicRange: "203.0.113.0/24"},
		listen:       freeAddress(t), control: freeAddress(t), mirrorPort: 8582, metadataPort: 8583, tokenFile: tokenFile, limits: api.DefaultLimits,
		tools: "../tools", binaries: "../.tools/bin",
	}
	down := func(o serveOptions) error {
		cmd := downCommand()
		cmd.SetArgs([]string{"--name", o.name, "--state", o.state, "--public-range", o.publicRange})
		return cmd.Execute()
	}
	t.Cleanup(func() { require.NoError(t, down(first)) })
	r := start(t, first)
	result, _, err := r.Server.Create(r.ctx, hcloud.ServerCreateOpts{
		Name: "mine", ServerType: &hcloud.ServerType{Name: "cx23"}, Image: &hcloud.Image{Name: "debian-12"}, StartAfterCreate: hcloud.Ptr(false),
	})
	require.NoError(t, err)
	r.wait(result.Action)

	second := first
	second.state, second.listen, second.control = filepath.Join(dir, "second"), freeAddress(t), freeAddress(t)
	refused := func(want string) {
		t.Helper()
		require.ErrorContains(t, serve(t.Context(), second), want)
		require.ErrorContains(t, down(second), want)
		assert.NoDirExists(t, second.state, "nothing was made")
		out, err := exec.Command("docker", "ps", "--all", "--quiet", "--filter", "label=hashistack.localcloud="+first.name).Output()
		require.NoError(t, err)
		assert.NotEmpty(t, string(out), "the machine is still there")
	}
	refused(fmt.Sprintf(`the local cloud "localcloud-two-test" of %s runs on this host (pid %d)`, first.state, os.Getpid()))
	r.stop()
	refused(fmt.Sprintf(`the local cloud "localcloud-two-test" of %s made container localcloud-two-test-%d`, first.state, result.Server.ID))

	require.NoError(t, down(first))
	second.listen, second.control = first.listen, first.control
	start(t, second).stop()
	require.NoError(t, down(second), "the permitted twin: the first has gone")
}
