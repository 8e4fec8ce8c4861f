//go:build products

package components

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi-nomad/sdk/v2/go/nomad"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// managementToken is that of the stack in Nomad.
const managementToken = "0c6e1f0a-57a5-4d5e-8a5b-3b1a6f0f9d11"

// port is a free one.
func port(t *testing.T) string {
	t.Helper()
	_, port, err := net.SplitHostPort(freeAddress(t))
	require.NoError(t, err)
	return port
}

// startNomad runs a Nomad server with ACLs and returns the address of its API.
func startNomad(t *testing.T) string {
	t.Helper()
	dir, http := t.TempDir(), port(t)
	config := filepath.Join(dir, "nomad.json")
	require.NoError(t, os.WriteFile(config, []byte(`{"data_dir": "`+dir+`/data", "bind_addr": "127.0.0.1", "log_level": "ERROR",
		"advertise": {"http": "127.0.0.1", "rpc": "127.0.0.1", "serf": "127.0.0.1"},
		"ports": {"http": `+http+`, "rpc": `+port(t)+`, "serf": `+port(t)+`}, "server": {"enabled": true, "bootstrap_expect": 1},
		"acl": {"enabled": true}, "consul": {"auto_advertise": false, "server_auto_join": false}}`), 0o600))
	start(t, "http://127.0.0.1:"+http+"/v1/status/leader", "nomad", "agent", "-config="+config)
	call(t, "http://127.0.0.1:"+http+"/v1/acl/bootstrap", "", `{"BootstrapSecret": "`+managementToken+`"}`, nil)
	return "127.0.0.1:" + http
}

// call sends a request with a token and reads the answer. Without a body it is a GET.
func call(t *testing.T, url, token, body string, answer any) {
	t.Helper()
	method := http.MethodGet
	if body != "" {
		method = http.MethodPut
	}
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	for _, header := range []string{"X-Consul-Token", "X-Nomad-Token", "X-Vault-Token"} {
		request.Header.Set(header, token)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	require.Less(t, response.StatusCode, 300, url)
	if answer != nil {
		require.NoError(t, json.NewDecoder(response.Body).Decode(answer))
	}
}

// engine is Vault's engine of a Nomad. The one of Consul gets its tokens in the same way, from our own provider.
type engine struct {
	vault      vaultServer
	nomad      string // address of the API
	caFile     string
	generation int
}

func (e *engine) declare(ctx *pulumi.Context) error {
	trust, err := NewTrust(ctx, "test", &TrustArgs{File: e.caFile, Root: 1, MachineRoot: 1})
	if err != nil {
		return err
	}
	inVault, err := e.vault.declare(ctx, trust)
	if err != nil {
		return err
	}
	n := &Nomad{site: inVault.site}
	if err := ctx.RegisterComponentResource(NomadType, "nomad", n); err != nil {
		return err
	}
	if n.provider, err = nomad.NewProvider(ctx, "nomad", &nomad.ProviderArgs{
		Address: pulumi.String("http://" + e.nomad), SecretId: pulumi.String(managementToken),
	}); err != nil {
		return err
	}
	return n.mountEngine(ctx, &NomadArgs{Vault: inVault, Trust: trust, EngineGeneration: e.generation})
}

// tokens are the names of all tokens that there are.
func (e *engine) tokens(t *testing.T) []string {
	t.Helper()
	var tokens []struct{ Name string }
	call(t, "http://"+e.nomad+"/v1/acl/tokens", managementToken, "", &tokens)
	var names []string
	for _, token := range tokens {
		names = append(names, token.Name)
	}
	return names
}

// The engine has its new token before the old one is deleted, and nothing else is touched.
func TestEngineGetsAnotherToken(t *testing.T) {
	e := &engine{startVault(t), startNomad(t), filepath.Join(t.TempDir(), "ca.pem"), 1}
	stack := newStack(t, e.declare)
	up := func(options ...optup.Option) map[string]int {
		done, err := stack.Up(t.Context(), options...)
		require.NoError(t, err, done.StdErr)
		return changes(done)
	}
	up()
	assert.Empty(t, up())
	assert.ElementsMatch(t, []string{"Bootstrap Token", "Vault's Nomad secret engine"}, e.tokens(t))

	e.generation = 2
	steps := make(chan events.EngineEvent, 1000)
	assert.Equal(t, map[string]int{"replace": 1, "update": 1}, up(optup.EventStreams(steps)))
	assert.ElementsMatch(t, []string{"Bootstrap Token", "Vault's Nomad secret engine-2"}, e.tokens(t))
	var order []string
	for step := range steps {
		done := step.ResOutputsEvent
		if done == nil || done.Metadata.Op == apitype.OpSame {
			continue
		}
		order = append(order, done.Metadata.Type+" "+string(done.Metadata.Op))
		if done.Metadata.Op == apitype.OpUpdate {
			assert.Equal(t, []string{"token"}, done.Metadata.Diffs, done.Metadata.Type)
		}
	}
	const token = "nomad:index/aclToken:AclToken"
	made, given := slices.Index(order, token+" create-replacement"), slices.Index(order, "vault:index/nomadSecretBackend:NomadSecretBackend update")
	gone := slices.Index(order, token+" delete-replaced")
	assert.True(t, 0 <= made && made < given && given < gone, "%v", order)

	// Nomad's engine, pointed to where Nomad is in this test, works with the token that it has now.
	call(t, e.vault.address+"/v1/nomad/config/access", e.vault.token, `{"address": "http://`+e.nomad+`", "ca_cert": ""}`, nil)
	var issued struct {
		Data struct {
			SecretID string `json:"secret_id"`
		}
	}
	call(t, e.vault.address+"/v1/nomad/creds/management", e.vault.token, "", &issued)
	var self struct{ Type string }
	call(t, "http://"+e.nomad+"/v1/acl/token/self", issued.Data.SecretID, "", &self)
	assert.Equal(t, "management", self.Type)
}
