package metadata_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/localcloud/metadata"
)

var instances = map[int64]metadata.Instance{
	42: {
		ID: 42, Hostname: "my-server", PublicIPv4: netip.MustParseAddr("198.18.0.5"), AvailabilityZone: "hel1-dc2",
		Region: "eu-central", PublicKeys: []string{"ssh-ed25519 AAAA me", "ssh-rsa BBBB you"}, UserData: "H4sIAAAAAAAAA+3BMQ==",
		PrivateNetworks: []metadata.PrivateNetwork{{
			IP: netip.MustParseAddr("10.0.1.2"), AliasIPs: []netip.Addr{}, InterfaceNum: 1, MACAddress: "86:00:00:2a:7d:e0",
			NetworkID: 1234, NetworkName: "nw-test1", Network: netip.MustParsePrefix("10.0.0.0/16"),
			Subnet: netip.MustParsePrefix("10.0.1.0/24"), Gateway: netip.MustParseAddr("10.0.0.1"),
		}},
	},
	43: {ID: 43, Hostname: "bare"},
}

// who knows the addresses of server 42, and that of server 43; 44 has been deleted.
func who(_ context.Context, from netip.Addr) (metadata.Caller, error) {
	switch from.String() {
	case "198.18.0.5", "fe80::42:c6ff:fe12:5":
		return metadata.Caller{ID: 42, MAC: "02:42:c6:12:00:05"}, nil
	case "198.18.0.6":
		return metadata.Caller{ID: 43, MAC: "02:42:c6:12:00:06"}, nil
	case "198.18.0.7":
		return metadata.Caller{ID: 44}, nil
	case "198.18.0.8":
		return metadata.Caller{}, errors.New("Docker does not answer")
	}
	return metadata.Caller{}, fmt.Errorf("%s: %w", from, metadata.ErrStranger)
}

func ask(t *testing.T, from, method, path string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	handler := metadata.Handler(slog.New(slog.DiscardHandler), who, func(id int64) (metadata.Instance, bool) {
		i, found := instances[id]
		return i, found
	})
	request := httptest.NewRequestWithContext(t.Context(), method, "http://169.254.169.254"+path, nil)
	request.RemoteAddr = from
	for _, f := range change {
		f(request)
	}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, request)
	return answer
}

const (
	known    = "198.18.0.5:4711"
	bare     = "198.18.0.6:4711"
	stranger = "172.17.0.2:4711"
)

func TestRoutes(t *testing.T) {
	tests := map[string]string{
		"/hetzner/v1/metadata/hostname":          "my-server",
		"/hetzner/v1/metadata/instance-id":       "42",
		"/hetzner/v1/metadata/public-ipv4":       "198.18.0.5",
		"/hetzner/v1/metadata/local-ipv4":        "",
		"/hetzner/v1/metadata/availability-zone": "hel1-dc2",
		"/hetzner/v1/metadata/region":            "eu-central",
		"/hetzner/v1/metadata/public-keys":       `["ssh-ed25519 AAAA me","ssh-rsa BBBB you"]`,
		"/hetzner/v1/userdata":                   "H4sIAAAAAAAAA+3BMQ==",
		"/hetzner/v1/metadata/private-networks": `- ip: 10.0.1.2
  alias_ips: []
  interface_num: 1
  mac_address: 86:00:00:2a:7d:e0
  network_id: 1234
  network_name: nw-test1
  network: 10.0.0.0/16
  subnet: 10.0.1.0/24
  gateway: 10.0.0.1
`,
		"/hetzner/v1/metadata": `availability-zone: hel1-dc2
hostname: my-server
instance-id: 42
local-ipv4: ""
network-config:
    version: 1
    config:
        - type: physical
          name: eth0
          mac_address: 02:42:c6:12:00:05
          subnets:
            - type: dhcp
              ipv4: true
public-ipv4: 198.18.0.5
public-keys:
    - ssh-ed25519 AAAA me
    - ssh-rsa BBBB you
region: eu-central
`,
	}
	for path, want := range tests {
		t.Run(path, func(t *testing.T) {
			answer := ask(t, known, "GET", path)
			require.Equal(t, http.StatusOK, answer.Code)
			assert.Equal(t, want, answer.Body.String())
			assert.Equal(t, "text/plain; charset=utf-8", answer.Header().Get("Content-Type"))

			overIPv6 := ask(t, "[fe80::42:c6ff:fe12:5%hz1234-public]:4711", "GET", path)
			assert.Equal(t, http.StatusOK, overIPv6.Code)
			assert.Equal(t, want, overIPv6.Body.String())

			refused := ask(t, stranger, "GET", path)
			assert.Equal(t, http.StatusForbidden, refused.Code)
			assert.Equal(t, "not a server of this cloud\n", refused.Body.String())
		})
	}
}

func TestAServerWithNothing(t *testing.T) {
	for path, want := range map[string]string{
		"/hetzner/v1/userdata":                  "",
		"/hetzner/v1/metadata/public-ipv4":      "",
		"/hetzner/v1/metadata/public-keys":      "[]",
		"/hetzner/v1/metadata/private-networks": "[]\n",
	} {
		answer := ask(t, bare, "GET", path)
		assert.Equal(t, http.StatusOK, answer.Code, path)
		assert.Equal(t, want, answer.Body.String(), path)
	}
}

func TestRefusals(t *testing.T) {
	tests := map[string]struct {
		from, method, path string
		want               int
	}{
		"another container":          {stranger, "GET", "/hetzner/v1/userdata", http.StatusForbidden},
		"this host":                  {"127.0.0.1:4711", "GET", "/hetzner/v1/userdata", http.StatusForbidden},
		"the host's public address":  {"198.18.0.1:4711", "GET", "/hetzner/v1/userdata", http.StatusForbidden},
		"a private address":          {"10.0.1.2:4711", "GET", "/hetzner/v1/userdata", http.StatusForbidden},
		"another link-local address": {"[fe80::1%hz1234-public]:4711", "GET", "/hetzner/v1/userdata", http.StatusForbidden},
		"a server that is gone":      {"198.18.0.7:4711", "GET", "/hetzner/v1/userdata", http.StatusForbidden},
		"a stranger to any path":     {stranger, "GET", "/hetzner/v1/nonsense", http.StatusForbidden},
		"Docker fails":               {"198.18.0.8:4711", "GET", "/hetzner/v1/userdata", http.StatusInternalServerError},
		"no address":                 {"@", "GET", "/hetzner/v1/userdata", http.StatusInternalServerError},
		"a path that is not there":   {known, "GET", "/hetzner/v1/metadata/password", http.StatusNotFound},
		"the root":                   {known, "GET", "/", http.StatusNotFound},
		"writing":                    {known, "PUT", "/hetzner/v1/userdata", http.StatusMethodNotAllowed},
		"the permitted twin":         {known, "GET", "/hetzner/v1/userdata", http.StatusOK},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			answer := ask(t, test.from, test.method, test.path)
			assert.Equal(t, test.want, answer.Code)
			if test.want != http.StatusOK {
				assert.NotContains(t, answer.Body.String(), "H4sI")
			}
		})
	}
}

// What a request says about itself has no effect.
func TestClaimsAreIgnored(t *testing.T) {
	claim := func(r *http.Request) {
		r.Host = "198.18.0.5"
		for _, header := range []string{"X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Instance-ID"} {
			r.Header.Set(header, "198.18.0.5")
		}
	}
	assert.Equal(t, http.StatusForbidden, ask(t, stranger, "GET", "/hetzner/v1/metadata/hostname", claim).Code)
	answer := ask(t, bare, "GET", "/hetzner/v1/metadata/hostname", claim)
	assert.Equal(t, http.StatusOK, answer.Code)
	assert.Equal(t, "bare", answer.Body.String(), "its own, and not that of the server it claims to be")
}

// A client that closes its side of the connection after the request gets its answer.
func TestHalfClosedConnection(t *testing.T) {
	closed := make(chan struct{})
	slow := func(ctx context.Context, _ netip.Addr) (metadata.Caller, error) {
		<-closed
		select { // long enough for the server to notice
		case <-ctx.Done():
			return metadata.Caller{}, ctx.Err()
		case <-time.After(300 * time.Millisecond):
			return metadata.Caller{ID: 42}, nil
		}
	}
	server := httptest.NewServer(metadata.Handler(slog.New(slog.DiscardHandler), slow, func(id int64) (metadata.Instance, bool) {
		i, found := instances[id]
		return i, found
	}))
	defer server.Close()
	connection, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	defer func() { _ = connection.Close() }()
	_, err = io.WriteString(connection, "GET /hetzner/v1/metadata/hostname HTTP/1.1\r\nHost: metadata\r\nConnection: close\r\n\r\n")
	require.NoError(t, err)
	require.NoError(t, connection.(*net.TCPConn).CloseWrite())
	close(closed)
	answer, err := io.ReadAll(connection)
	require.NoError(t, err)
	assert.Contains(t, string(answer), "200 OK")
	assert.Contains(t, string(answer), "my-server")
}
