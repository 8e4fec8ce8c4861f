package api_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/localcloud/api"
	"hashistack/localcloud/fault"
	"hashistack/localcloud/store"
)

const testToken = "LRK9DAWQ1ZAEFSrCNEEzLCUwhYX1U3g7wMg4dTlkkDC96fyDuyJ39nVbVjCKSDfj"

// cloud is a local cloud on a fake runtime, and the client that drives it.
type cloud struct {
	*hcloud.Client
	t       testing.TB
	ctx     context.Context
	api     *api.API
	runtime *fakeRuntime
	faults  *fault.Set
	url     string
	dir     string
	stop    func()
}

type option func(*api.Options)

func withRateLimit(n int) option          { return func(o *api.Options) { o.RateLimit = n } }
func withLimits(limits api.Limits) option { return func(o *api.Options) { o.Limits = limits } }

func startCloud(t testing.TB, options ...option) *cloud {
	t.Helper()
	return openCloud(t, newFakeRuntime(), t.TempDir(), options...)
}

// openCloud starts a local cloud with the state that is in dir.
func openCloud(t testing.TB, runtime *fakeRuntime, dir string, options ...option) *cloud {
	t.Helper()
	state, err := store.Open(dir)
	require.NoError(t, err)
	opts := api.Options{
		Runtime: runtime, State: state, Token: testToken, PublicRange: netip.MustParsePrefix("198.18.0.0/16"),
		Limits: api.DefaultLimits, Faults: &fault.Set{}, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	for _, option := range options {
		option(&opts)
	}
	a, err := api.New(opts)
	require.NoError(t, err)
	server := httptest.NewServer(a)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	c := &cloud{t: t, ctx: ctx, api: a, runtime: runtime, faults: opts.Faults, url: server.URL, dir: dir}
	stopped := false
	c.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		server.Close()
		a.Close()
		require.NoError(t, state.Close())
	}
	t.Cleanup(c.stop)
	c.Client = hcloud.NewClient(hcloud.WithEndpoint(server.URL+"/v1"), hcloud.WithToken(testToken),
		hcloud.WithPollOpts(hcloud.PollOpts{BackoffFunc: hcloud.ConstantBackoff(2 * time.Millisecond)}),
		hcloud.WithRetryOpts(hcloud.RetryOpts{MaxRetries: 0}))
	return c
}

// wait lets actions finish and expects success.
func (c *cloud) wait(actions ...*hcloud.Action) {
	c.t.Helper()
	require.NoError(c.t, c.Action.WaitFor(c.ctx, actions...))
}

// network makes a network 10.0.0.0/16 with one subnet 10.0.1.0/24.
func (c *cloud) network(name string) *hcloud.Network {
	c.t.Helper()
	n, _, err := c.Network.Create(c.ctx, hcloud.NetworkCreateOpts{
		Name: name, IPRange: prefix(c.t, "10.0.0.0/16"),
		Subnets: []hcloud.NetworkSubnet{{Type: hcloud.NetworkSubnetTypeCloud, IPRange: prefix(c.t, "10.0.1.0/24"), NetworkZone: hcloud.NetworkZoneEUCentral}},
	})
	require.NoError(c.t, err)
	return n
}

func serverOpts(name string) hcloud.ServerCreateOpts {
	return hcloud.ServerCreateOpts{
		Name: name, ServerType: &hcloud.ServerType{Name: "cx23"}, Image: &hcloud.Image{Name: "debian-12"},
		Location: &hcloud.Location{Name: "fsn1"},
	}
}

// server creates a server and waits until it runs.
func (c *cloud) server(name string, change ...func(*hcloud.ServerCreateOpts)) *hcloud.Server {
	c.t.Helper()
	opts := serverOpts(name)
	for _, f := range change {
		f(&opts)
	}
	result, _, err := c.Server.Create(c.ctx, opts)
	require.NoError(c.t, err)
	c.wait(append(result.NextActions, result.Action)...)
	return c.getServer(result.Server.ID)
}

func (c *cloud) getServer(id int64) *hcloud.Server {
	c.t.Helper()
	s, _, err := c.Server.GetByID(c.ctx, id)
	require.NoError(c.t, err)
	require.NotNil(c.t, s, "server %d", id)
	return s
}

func prefix(t testing.TB, text string) *net.IPNet {
	t.Helper()
	_, ipNet, err := net.ParseCIDR(text)
	require.NoError(t, err)
	return ipNet
}

// requireCode expects an API error with this code, whose message has all these words.
func requireCode(t *testing.T, err error, code hcloud.ErrorCode, words ...string) {
	t.Helper()
	require.Error(t, err)
	var apiErr hcloud.Error
	require.ErrorAs(t, err, &apiErr)
	require.Equal(t, code, apiErr.Code, "%v", err)
	for _, word := range words {
		assert.Contains(t, apiErr.Message, word)
	}
}
