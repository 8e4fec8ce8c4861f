package vault_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/provider/internal/rig"
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
		rig.Answer(w, http.StatusOK, map[string]any{"type": "shamir", "initialized": f.initialised, "sealed": true, "t": 3, "n": 5})
	case "/v1/sys/init":
		f.init(f, w, r)
	case "/v1/sys/unseal":
		f.unseal(w, r)
	default:
		http.NotFound(w, r)
	}
}

// hangUp breaks the connection without an answer.
func hangUp(*fakeVault, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

var theKeys = map[string]any{
	"root_token": "hvs.the-root-token", "keys_base64": []string{"key-1", "key-2", "key-3", "key-4", "key-5"},
}

func TestVaultInitWhoseAnswerIsLost(t *testing.T) {
	ca := rig.NewAuthority(t)
	fake := &fakeVault{init: func(f *fakeVault, w http.ResponseWriter, r *http.Request) {
		f.initialised = true
		hangUp(f, w, r)
	}}
	inputs := map[string]any{"cluster": rig.Cluster(ca, ca.Serve(t, "127.0.0.1", fake)), "timeout": "10s"}
	subject := rig.New(t.Context(), t, "VaultInit", "vault")

	_, err := subject.Create(inputs)
	require.Error(t, err)
	assert.Contains(t, err.Error(), "this stack does not hold its keys")
	assert.Contains(t, err.Error(), "Restore the state that has them with `pulumi stack import`")
	assert.NotContains(t, err.Error(), "--replace", "on a platform that is in use, that would lose the keys for good")
	assert.Contains(t, err.Error(), "(the request to initialise ended with: EOF)")

	// The next update finds the same, without another attempt.
	fake.requests = nil
	_, err = subject.Create(inputs)
	require.Error(t, err)
	assert.Contains(t, err.Error(), "this stack does not hold its keys")
	assert.NotContains(t, fake.requests, "PUT /v1/sys/init")
}

func TestVaultInitIsTriedAgainWhenNothingHappened(t *testing.T) {
	ca := rig.NewAuthority(t)
	attempts := 0
	fake := &fakeVault{init: func(f *fakeVault, w http.ResponseWriter, r *http.Request) {
		if attempts++; attempts < 3 {
			hangUp(f, w, r)
		}
		rig.Answer(w, http.StatusOK, theKeys)
	}}
	created := rig.New(t.Context(), t, "VaultInit", "vault").MustCreate(map[string]any{
		"cluster": rig.Cluster(ca, ca.Serve(t, "127.0.0.1", fake)), "timeout": "10s",
	})
	assert.Equal(t, "hvs.the-root-token", created.Properties.Get("rootToken").AsString())
	assert.Equal(t, 3, attempts)
}

func TestVaultInitRefused(t *testing.T) {
	ca := rig.NewAuthority(t)
	fake := &fakeVault{init: func(_ *fakeVault, w http.ResponseWriter, _ *http.Request) {
		rig.Answer(w, http.StatusBadRequest, map[string]any{"errors": []string{"no such seal"}})
	}}
	_, err := rig.New(t.Context(), t, "VaultInit", "vault").Create(map[string]any{
		"cluster": rig.Cluster(ca, ca.Serve(t, "127.0.0.1", fake)), "timeout": "1m",
	})
	require.Error(t, err)
	assert.Regexp(t, `initialise Vault on server-1 \(https://127.0.0.1:\d+\): 400 no such seal`, err.Error())
}

// Ctrl-C while Vault makes its keys: they must still arrive.
func TestVaultInitIsFinishedWhenInterrupted(t *testing.T) {
	ca := rig.NewAuthority(t)
	arrived, interrupted := make(chan struct{}), make(chan struct{})
	fake := &fakeVault{init: func(_ *fakeVault, w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-interrupted
		select {
		case <-r.Context().Done(): // the client hung up
		case <-time.After(200 * time.Millisecond):
			rig.Answer(w, http.StatusOK, theKeys)
		}
	}}
	subject := rig.New(t.Context(), t, "VaultInit", "vault")
	inputs := map[string]any{"cluster": rig.Cluster(ca, ca.Serve(t, "127.0.0.1", fake)), "timeout": "1m"}

	go func() {
		<-arrived
		assert.NoError(t, subject.Server.Cancel())
		close(interrupted)
	}()
	created := subject.MustCreate(inputs)
	assert.Equal(t, "hvs.the-root-token", created.Properties.Get("rootToken").AsString())
}

func TestWaitIsInterrupted(t *testing.T) {
	ca := rig.NewAuthority(t)
	ctx, cancel := context.WithCancel(t.Context())
	server := ca.Serve(t, "127.0.0.1", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		cancel()
		rig.Answer(w, http.StatusServiceUnavailable, map[string]any{"errors": []string{"still starting"}})
	}))
	_, err := rig.New(ctx, t, "VaultInit", "vault").Create(map[string]any{"cluster": rig.Cluster(ca, server)})
	require.Error(t, err)
	assert.Regexp(t, `interrupted while waiting for Vault on server-1 .* to answer, got: .*it is safe to run again`, err.Error())
}

func TestUntrustedAuthority(t *testing.T) {
	ca := rig.NewAuthority(t)
	fake := &fakeVault{}
	_, err := rig.New(t.Context(), t, "VaultInit", "vault").Create(map[string]any{
		"cluster": rig.Cluster(rig.NewAuthority(t), ca.Serve(t, "127.0.0.1", fake)), "timeout": "1s",
	})
	require.Error(t, err)
	assert.Contains(t, err.Error(), "caPem does not hold the authority that signed it")
	assert.Empty(t, fake.requests)
}

func TestVaultInitRead(t *testing.T) {
	ca := rig.NewAuthority(t)
	dead := ca.Serve(t, "elsewhere.example", &fakeVault{}) // answers nobody who checks names
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
				list = append(list, ca.Serve(t, "127.0.0.1", fake))
			}
			if test.dead {
				list = append(list, dead)
			}
			inputs := map[string]any{"cluster": rig.Cluster(ca, list...)}
			subject := rig.New(t.Context(), t, "VaultInit", "vault")
			state := subject.State(inputs)
			read := subject.Read(p.CreateResponse{ID: "vault", Properties: state}, inputs)
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
	ca := rig.NewAuthority(t)
	_, err := rig.New(t.Context(), t, "VaultUnseal", "unseal").Create(map[string]any{
		"node": rig.Nodes(ca.Serve(t, "127.0.0.1", &fakeVault{initialised: true}))[0], "caPem": ca.PEM, "keys": []any{"key-1", "key-2"},
	})
	require.Error(t, err)
	assert.Contains(t, err.Error(), "needs 3 keys to be unsealed, keys has 2")
	assert.NotContains(t, err.Error(), "key-1")
}
