package api_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/localcloud/api"
	"hashistack/localcloud/fault"
	"hashistack/localcloud/store"
)

// project is a cloud with a resource of each kind, as it is on disk and in the runtime.
type project struct {
	state   []byte
	runtime *fakeRuntime
}

func newProject(t testing.TB) project {
	t.Helper()
	c := startCloud(t)
	n := c.network("net")
	s := c.server("server-1", func(o *hcloud.ServerCreateOpts) {
		o.Networks = []*hcloud.Network{n}
		o.Labels = map[string]string{"role": "web"}
	})
	c.server("server-2")
	off, _, err := c.Server.Poweroff(c.ctx, s)
	require.NoError(t, err)
	c.wait(off)
	_, _, err = c.Firewall.Create(c.ctx, hcloud.FirewallCreateOpts{
		Name: "wall", Rules: []hcloud.FirewallRule{tcpRule("80-90")}, ApplyTo: []hcloud.FirewallResource{selecting("role=web")},
	})
	require.NoError(t, err)
	_, _, err = c.PlacementGroup.Create(c.ctx, hcloud.PlacementGroupCreateOpts{Name: "group", Type: hcloud.PlacementGroupTypeSpread})
	require.NoError(t, err)
	_, _, err = c.SSHKey.Create(c.ctx, hcloud.SSHKeyCreateOpts{Name: "key", PublicKey: testKey})
	require.NoError(t, err)
	_, _, err = c.PrimaryIP.Create(c.ctx, hcloud.PrimaryIPCreateOpts{Name: "spare", Type: "ipv4", Location: "fsn1", AssigneeType: "server"})
	require.NoError(t, err)
	c.stop()
	state, err := os.ReadFile(filepath.Join(c.dir, "state.json"))
	require.NoError(t, err)
	return project{state, c.runtime}
}

// open starts an API with a state on disk. close stops it.
func (p project) open(t testing.TB, state []byte) (a *api.API, closed func(), err error) {
	t.Helper()
	path := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(path, "state.json"), state, 0o600))
	dir, err := store.Open(path)
	require.NoError(t, err)
	runtime := newFakeRuntime()
	runtime.networks = maps.Clone(p.runtime.networks)
	for id, m := range p.runtime.machines {
		machine := *m
		runtime.machines[id] = &machine
	}
	a, err = api.New(api.Options{
		Runtime: runtime, State: dir, Token: testToken, PublicRange: netip.MustParsePrefix("198.18.0.0/16"),
		Limits: api.DefaultLimits, Faults: &fault.Set{}, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		require.NoError(t, dir.Close())
		return nil, func() {}, err
	}
	return a, func() {
		a.Close()
		require.NoError(t, dir.Close())
	}, nil
}

// ask sends a request past the network: a panic ends the test instead of the connection alone.
func ask(t testing.TB, a *api.API, method, path, query, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := &http.Request{
		Method: method, URL: &url.URL{Path: "/v1" + path, RawQuery: query}, Host: "api.example", Header: http.Header{},
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
	r = r.WithContext(t.Context())
	r.Header.Set("Authorization", "Bearer "+testToken)
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return w
}

// lists are the paths under which everything is shown.
var lists = []string{
	"/servers", "/networks", "/firewalls", "/primary_ips", "/placement_groups", "/ssh_keys", "/servers/actions", "/networks/actions",
	"/firewalls/actions", "/primary_ips/actions", "/locations", "/server_types", "/images",
}

var methods = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete}

// FuzzRequest sends any request to a project that has something of each kind, and then looks at everything. Nothing panics,
// nothing is a defect (server_error), and the state can be read again.
func FuzzRequest(f *testing.F) {
	p := newProject(f)
	for _, seed := range requests(p) {
		f.Add(seed.method, seed.path, seed.query, seed.body)
	}
	f.Fuzz(func(t *testing.T, method uint8, path, query, body string) {
		a, closed, err := p.open(t, p.state)
		require.NoError(t, err)
		w := ask(t, a, methods[int(method)%len(methods)], path, query, body)
		requireAnswer(t, w)
		for _, list := range lists {
			w := ask(t, a, http.MethodGet, list, "", "")
			require.Equal(t, http.StatusOK, w.Code, "%s after %s: %s", list, path, w.Body)
		}
		closed()
	})
}

func requireAnswer(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	if w.Body.Len() == 0 {
		require.Equal(t, http.StatusNoContent, w.Code)
		return
	}
	var answer struct {
		Error struct{ Code, Message string }
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer), "%s", w.Body)
	require.NotEqual(t, "server_error", answer.Error.Code, answer.Error.Message)
	if w.Code >= http.StatusBadRequest {
		require.NotEmpty(t, answer.Error.Code)
		require.NotEmpty(t, answer.Error.Message)
	}
}

type request struct {
	method            uint8
	path, query, body string
}

const (
	get uint8 = iota
	post
	put
	remove
)

// FuzzState starts with any state on disk. It is refused with an error, or everything in it can be looked at and deleted.
func FuzzState(f *testing.F) {
	p := newProject(f)
	f.Add(p.state)
	for _, state := range brokenStates {
		f.Add([]byte(state))
	}
	for _, change := range [][2]string{
		{`"198.18.0.`, `"x`}, {`"10.0.0.0/16"`, `"10.0.0.0/99"`}, {`"10.0.1.0/24"`, `"2001:db8::/64"`}, {`"0.0.0.0/0"`, `"everywhere"`},
		{`"ip": "10.0.1.`, `"ip": "1.`}, {`"type": 1`, `"type": 9`}, {`"status": "success"`, `"status": "running"`}, {`"role=web"`, `"=("`},
	} {
		f.Add([]byte(strings.ReplaceAll(string(p.state), change[0], change[1])))
	}
	f.Fuzz(func(t *testing.T, state []byte) {
		a, closed, err := p.open(t, state)
		if err != nil {
			assert.NotEmpty(t, err.Error())
			return
		}
		for _, list := range lists {
			requireAnswer(t, ask(t, a, http.MethodGet, list, "", ""))
		}
		var has struct {
			Servers, Networks, Firewalls []struct{ ID int64 }
		}
		for kind, of := range map[string]*[]struct{ ID int64 }{"servers": &has.Servers, "networks": &has.Networks, "firewalls": &has.Firewalls} {
			w := ask(t, a, http.MethodGet, "/"+kind, "", "")
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &has))
			for _, row := range *of {
				requireAnswer(t, ask(t, a, http.MethodDelete, "/"+kind+"/"+itoa(row.ID), "", ""))
			}
		}
		closed()
	})
}
