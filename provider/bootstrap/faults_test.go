package bootstrap

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The servers here are fakes, for faults that the real products do not show on demand; the rest is tested with the
// products themselves, see the files with the build tag products.

// fakeVault answers what the resources ask, until a test replaces a handler.
type fakeVault struct {
	initialised bool
	init        func(*fakeVault, http.ResponseWriter, *http.Request)
	unseal      func(http.ResponseWriter, *http.Request)
	requests    []string
}

func (f *fakeVault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.requests = append(f.requests, r.Method+" "+r.URL.Path)
	switch r.URL.Path {
	case "/v1/sys/seal-status":
		answer(w, http.StatusOK, map[string]any{"type": "shamir", "initialized": f.initialised, "sealed": true, "t": 3, "n": 5})
	case "/v1/sys/init":
		f.init(f, w, r)
	case "/v1/sys/unseal":
		f.unseal(w, r)
	default:
		http.NotFound(w, r)
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// hangUp breaks the connection without an answer.
func hangUp(*fakeVault, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

var theKeys = map[string]any{
	"root_token": "hvs.the-root-token", "keys_base64": []string{"key-1", "key-2", "key-3", "key-4", "key-5"},
}

func TestVaultInitWhoseAnswerIsLost(t *testing.T) {
	ca := newAuthority(t)
	fake := &fakeVault{init: func(f *fakeVault, w http.ResponseWriter, r *http.Request) {
		f.initialised = true
		hangUp(f, w, r)
	}}
	inputs := map[string]any{"nodes": nodes(ca.serve(t, "127.0.0.1", fake)), "caPem": ca.pem, "timeout": "10s"}
	subject := newSubject(t.Context(), t, "VaultInit", "vault")

	_, err := subject.create(inputs)
	require.Error(t, err)
	assert.Contains(t, err.Error(), "this stack does not hold its keys")
	assert.Contains(t, err.Error(), "pulumi up --replace '**:Server::server-1'")
	assert.Contains(t, err.Error(), "(the request to initialise ended with: EOF)")

	// The next update finds the same, without another attempt.
	fake.requests = nil
	_, err = subject.create(inputs)
	require.Error(t, err)
	assert.Contains(t, err.Error(), "this stack does not hold its keys")
	assert.NotContains(t, fake.requests, "PUT /v1/sys/init")
}

func TestVaultInitIsTriedAgainWhenNothingHappened(t *testing.T) {
	ca := newAuthority(t)
	attempts := 0
	fake := &fakeVault{init: func(f *fakeVault, w http.ResponseWriter, r *http.Request) {
		if attempts++; attempts < 3 {
			hangUp(f, w, r)
		}
		answer(w, http.StatusOK, theKeys)
	}}
	created := newSubject(t.Context(), t, "VaultInit", "vault").mustCreate(map[string]any{
		"nodes": nodes(ca.serve(t, "127.0.0.1", fake)), "caPem": ca.pem, "timeout": "10s",
	})
	assert.Equal(t, "hvs.the-root-token", created.Properties.Get("rootToken").AsString())
	assert.Equal(t, 3, attempts)
}

func TestVaultInitRefused(t *testing.T) {
	ca := newAuthority(t)
	fake := &fakeVault{init: func(_ *fakeVault, w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusBadRequest, map[string]any{"errors": []string{"no such seal"}})
	}}
	_, err := newSubject(t.Context(), t, "VaultInit", "vault").create(map[string]any{
		"nodes": nodes(ca.serve(t, "127.0.0.1", fake)), "caPem": ca.pem, "timeout": "1m",
	})
	require.Error(t, err)
	assert.Regexp(t, `initialise Vault on server-1 \(https://127.0.0.1:\d+\): 400 no such seal`, err.Error())
}

// Ctrl-C while Vault makes its keys: they must still arrive.
func TestVaultInitIsFinishedWhenInterrupted(t *testing.T) {
	ca := newAuthority(t)
	arrived, interrupted := make(chan struct{}), make(chan struct{})
	fake := &fakeVault{init: func(_ *fakeVault, w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-interrupted
		select {
		case <-r.Context().Done(): // the client hung up
		case <-time.After(200 * time.Millisecond):
			answer(w, http.StatusOK, theKeys)
		}
	}}
	subject := newSubject(t.Context(), t, "VaultInit", "vault")
	inputs := map[string]any{"nodes": nodes(ca.serve(t, "127.0.0.1", fake)), "caPem": ca.pem, "timeout": "1m"}

	go func() {
		<-arrived
		assert.NoError(t, subject.server.Cancel())
		close(interrupted)
	}()
	created := subject.mustCreate(inputs)
	assert.Equal(t, "hvs.the-root-token", created.Properties.Get("rootToken").AsString())
}

func TestWaitIsInterrupted(t *testing.T) {
	ca := newAuthority(t)
	ctx, cancel := context.WithCancel(t.Context())
	server := ca.serve(t, "127.0.0.1", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		cancel()
		answer(w, http.StatusServiceUnavailable, map[string]any{"errors": []string{"still starting"}})
	}))
	_, err := newSubject(ctx, t, "VaultInit", "vault").create(map[string]any{"nodes": nodes(server), "caPem": ca.pem})
	require.Error(t, err)
	assert.Regexp(t, `interrupted while waiting for Vault on server-1 .* to answer, got: .*it is safe to run again`, err.Error())
}

func TestWrongHostName(t *testing.T) {
	ca := newAuthority(t)
	for resourceType, inputs := range map[string]map[string]any{
		"VaultInit":       {"nodes": nodes(ca.serve(t, "elsewhere.example", &fakeVault{}))},
		"VaultUnseal":     {"node": nodes(ca.serve(t, "elsewhere.example", &fakeVault{}))[0], "keys": []any{"key"}},
		"ConsulBootstrap": {"nodes": nodes(ca.serve(t, "elsewhere.example", &fakeVault{})), "expectedVoters": 1, "bootstrapSecret": secret},
		"NomadBootstrap":  {"nodes": nodes(ca.serve(t, "elsewhere.example", &fakeVault{})), "expectedVoters": 1, "bootstrapSecret": secret},
	} {
		t.Run(resourceType, func(t *testing.T) {
			_, err := newSubject(t.Context(), t, resourceType, "r").create(with(with(inputs, "caPem", ca.pem), "timeout", "1s"))
			require.Error(t, err)
			assert.Contains(t, err.Error(), "timed out after 1s")
			assert.Contains(t, err.Error(), "cannot validate certificate for 127.0.0.1")
		})
	}
}

func TestUntrustedAuthority(t *testing.T) {
	ca := newAuthority(t)
	fake := &fakeVault{}
	_, err := newSubject(t.Context(), t, "VaultInit", "vault").create(map[string]any{
		"nodes": nodes(ca.serve(t, "127.0.0.1", fake)), "caPem": newAuthority(t).pem, "timeout": "1s",
	})
	require.Error(t, err)
	assert.Contains(t, err.Error(), "caPem does not hold the authority that signed it")
	assert.Empty(t, fake.requests)
}

func TestVaultInitRead(t *testing.T) {
	ca := newAuthority(t)
	dead := ca.serve(t, "elsewhere.example", &fakeVault{}) // answers nobody who checks names
	for name, test := range map[string]struct {
		vaults []*fakeVault
		dead   bool
		gone   bool
	}{
		"one is initialised":                    {vaults: []*fakeVault{{}, {initialised: true}}},
		"none is initialised":                   {vaults: []*fakeVault{{}, {}}, gone: true},
		"none is initialised, one is not heard": {vaults: []*fakeVault{{}, {}}, dead: true},
		"none is heard":                         {dead: true},
	} {
		t.Run(name, func(t *testing.T) {
			var list []string
			for _, fake := range test.vaults {
				list = append(list, ca.serve(t, "127.0.0.1", fake))
			}
			if test.dead {
				list = append(list, dead)
			}
			inputs := map[string]any{"nodes": nodes(list...), "caPem": ca.pem}
			subject := newSubject(t.Context(), t, "VaultInit", "vault")
			state := subject.state(inputs)
			read := subject.read(p.CreateResponse{ID: "vault", Properties: state}, inputs)
			if test.gone {
				assert.Empty(t, read.ID)
				return
			}
			assert.Equal(t, "vault", read.ID)
			assert.Equal(t, state, read.Properties)
		})
	}
}

func TestVaultUnsealWithTooFewKeys(t *testing.T) {
	ca := newAuthority(t)
	_, err := newSubject(t.Context(), t, "VaultUnseal", "unseal").create(map[string]any{
		"node": nodes(ca.serve(t, "127.0.0.1", &fakeVault{initialised: true}))[0], "caPem": ca.pem, "keys": []any{"key-1", "key-2"},
	})
	require.Error(t, err)
	assert.Contains(t, err.Error(), "needs 3 keys to be unsealed, keys has 2")
	assert.NotContains(t, err.Error(), "key-1")
}

// A Consul that bootstraps and dies before it answers: its peer knows of it, and the chosen secret is the token.
func TestBootstrapWhoseAnswerIsLost(t *testing.T) {
	ca := newAuthority(t)
	done := false
	consul := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/status/leader":
			answer(w, http.StatusOK, "10.0.1.10:8300")
		case "/v1/status/peers":
			answer(w, http.StatusOK, []string{"10.0.1.10:8300"})
		case "/v1/acl/bootstrap":
			if !done {
				done = true
				panic(http.ErrAbortHandler)
			}
			http.Error(w, "Permission denied: rpc error making call: ACL bootstrap no longer allowed (reset index: 13)", http.StatusForbidden)
		case "/v1/acl/token/self":
			if r.Header.Get("X-Consul-Token") != secret {
				http.Error(w, "ACL not found", http.StatusForbidden)
				return
			}
			answer(w, http.StatusOK, map[string]any{"AccessorID": "the-accessor", "Policies": []any{map[string]any{"ID": managementPolicy}}})
		case "/v1/operator/raft/configuration":
			answer(w, http.StatusOK, map[string]any{"Servers": []any{map[string]any{"ID": "1", "Voter": true}}})
		case "/v1/operator/autopilot/health":
			answer(w, http.StatusOK, map[string]any{"Healthy": true})
		default:
			http.NotFound(w, r)
		}
	})
	created := newSubject(t.Context(), t, "ConsulBootstrap", "consul").mustCreate(map[string]any{
		"nodes": nodes(ca.serve(t, "127.0.0.1", consul)), "caPem": ca.pem, "expectedVoters": 1, "bootstrapSecret": secret, "timeout": "10s",
	})
	assert.Equal(t, "the-accessor", created.Properties.Get("accessorId").AsString())
}

// Both products answer 429 with the report when a server is not healthy.
func TestUnhealthyServersAreNamed(t *testing.T) {
	ca := newAuthority(t)
	address := ca.serve(t, "127.0.0.1", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusTooManyRequests, map[string]any{
			"Healthy": false, "Servers": []any{map[string]any{"Name": "one", "Healthy": true}, map[string]any{"Name": "two"}},
		})
	}))
	for name, connect := range map[string]func(Node, ACLBootstrapArgs) (aclServer, error){"Consul": consulProduct.connect, "Nomad": nomadProduct.connect} {
		t.Run(name, func(t *testing.T) {
			server, err := connect(Node{Name: "server-1", Address: address}, ACLBootstrapArgs{CaPem: ca.pem, BootstrapSecret: secret})
			require.NoError(t, err)
			unhealthy, err := server.unhealthy(t.Context())
			require.NoError(t, err)
			assert.Equal(t, []string{"two"}, unhealthy)
		})
	}
}

func TestEveryServerIsInTheError(t *testing.T) {
	ca := newAuthority(t)
	sealed := ca.serve(t, "127.0.0.1", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "No cluster leader", http.StatusInternalServerError)
	}))
	_, err := newSubject(t.Context(), t, "NomadBootstrap", "nomad").create(map[string]any{
		"nodes": nodes(sealed, ca.serve(t, "elsewhere.example", &fakeVault{})), "caPem": ca.pem, "expectedVoters": 3, "bootstrapSecret": secret, "timeout": "1s",
	})
	require.Error(t, err)
	assert.Regexp(t, `want Nomad to have a leader and 3 peers, got: server-1 \(\S+\): 500 No cluster leader; server-2 \(\S+\): .*certificate`, err.Error())
}
