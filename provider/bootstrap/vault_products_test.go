//go:build products

package bootstrap

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	vault "github.com/hashicorp/vault/api"
	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// startVault runs servers with TLS and integrated storage, which join each other. extra goes into their configuration.
func startVault(t *testing.T, ca authority, servers int, extra map[string]any) []*product {
	t.Helper()
	ports := freePorts(t, 2*servers)
	var peers []any
	for i := range servers {
		peers = append(peers, map[string]any{"leader_api_addr": "https://" + local(ports[2*i]), "leader_ca_cert": ca.pem})
	}
	cluster := make([]*product, servers)
	for i := range cluster {
		dir := t.TempDir()
		ca.writeCertificate(t, dir)
		require.NoError(t, os.Mkdir(filepath.Join(dir, "data"), 0o700))
		configuration := map[string]any{
			"api_addr": "https://" + local(ports[2*i]), "cluster_addr": "https://" + local(ports[2*i+1]), "disable_mlock": true,
			"listener": []any{map[string]any{"tcp": map[string]any{
				"address": local(ports[2*i]), "cluster_address": local(ports[2*i+1]),
				"tls_cert_file": filepath.Join(dir, "cert.pem"), "tls_key_file": filepath.Join(dir, "key.pem"),
			}}},
			"storage": map[string]any{"raft": map[string]any{
				"path": filepath.Join(dir, "data"), "node_id": fmt.Sprintf("server-%d", i+1), "performance_multiplier": "1", "retry_join": peers,
			}},
		}
		for key, value := range extra {
			configuration[key] = value
		}
		writeJSON(t, filepath.Join(dir, "vault.json"), configuration)
		cluster[i] = start(t, dir, "vault", "server", "-config="+filepath.Join(dir, "vault.json"))
		cluster[i].address = "https://" + local(ports[2*i])
	}
	return cluster
}

func initInputs(ca authority, cluster []*product) map[string]any {
	return map[string]any{"nodes": nodes(addresses(cluster)...), "caPem": ca.pem, "timeout": "60s"}
}

func unsealInputs(ca authority, cluster []*product, i int, keys property.Value) map[string]any {
	var plain []any
	for _, key := range keys.AsArray().All {
		plain = append(plain, key.AsString())
	}
	return map[string]any{
		"node": nodes(addresses(cluster)...)[i], "caPem": ca.pem, "timeout": "60s", "keys": plain,
	}
}

func vaultClient(t *testing.T, ca authority, address, token string) *vault.Client {
	t.Helper()
	http, err := httpClient(ca.pem)
	require.NoError(t, err)
	client, err := vault.NewClient(&vault.Config{Address: address, HttpClient: http})
	require.NoError(t, err)
	client.SetToken(token)
	return client
}

func TestVaultLifecycle(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cluster := startVault(t, ca, 3, nil)
	subject := newSubject(t.Context(), t, "VaultInit", "vault")
	inputs := initInputs(ca, cluster)

	created := subject.mustCreate(inputs)
	keys := created.Properties.Get("unsealKeys")
	for _, name := range []string{"rootToken", "unsealKeys", "recoveryKeys"} {
		assert.True(t, created.Properties.Get(name).Secret(), "%s must be a secret", name)
	}
	assert.Equal(t, 5, keys.AsArray().Len())
	read := subject.read(created, inputs)
	assert.Equal(t, created.ID, read.ID)
	assert.Equal(t, created.Properties, read.Properties, "a refresh must not show a difference")

	// Unseal all at once, as Pulumi does: the standbys wait until there is a leader to join.
	unsealed := make([]p.CreateResponse, len(cluster))
	t.Run("unseal", func(t *testing.T) {
		for i := range cluster {
			t.Run(fmt.Sprint(i+1), func(t *testing.T) {
				t.Parallel()
				unsealed[i] = newSubject(t.Context(), t, "VaultUnseal", fmt.Sprintf("unseal-%d", i+1)).mustCreate(unsealInputs(ca, cluster, i, keys))
				assert.False(t, unsealed[i].Properties.Get("sealed").AsBool())
				assert.True(t, unsealed[i].Properties.Get("keys").Secret())
			})
		}
	})
	root := vaultClient(t, ca, cluster[0].address, created.Properties.Get("rootToken").AsString())
	self, err := root.Auth().Token().LookupSelf()
	require.NoError(t, err)
	assert.Contains(t, self.Data["policies"], "root")
	eventually(t, "all three are in the Raft cluster", func() bool {
		state, err := root.Sys().RaftAutopilotState()
		return err == nil && len(state.Voters) == 3
	})

	// A restarted node is sealed: the refresh finds it, the update mends it.
	cluster[2].restart(t, true)
	third := newSubject(t.Context(), t, "VaultUnseal", "unseal-3")
	thirdInputs := unsealInputs(ca, cluster, 2, keys)
	var sealed p.ReadResponse
	eventually(t, "the restarted node answers", func() bool {
		sealed = third.read(unsealed[2], thirdInputs)
		return sealed.Properties.Get("sealed").AsBool()
	})
	diff := third.diff(sealed.Properties, thirdInputs, thirdInputs)
	require.True(t, diff.HasChanges)
	assert.Equal(t, map[string]p.PropertyDiff{"sealed": {Kind: p.Update}}, diff.DetailedDiff)
	updated, err := third.server.Update(p.UpdateRequest{ID: "unseal-3", Urn: third.urn, State: sealed.Properties, Inputs: third.checked(thirdInputs)})
	require.NoError(t, err)
	assert.False(t, updated.Properties.Get("sealed").AsBool())
	assert.Equal(t, unsealed[2].Properties, updated.Properties)

	// One node that was replaced does not make Vault a new one; all of them do.
	cluster[2].restart(t, false)
	assert.Equal(t, created.ID, subject.read(created, inputs).ID)
	cluster[0].stop(t)
	cluster[1].stop(t)
	assert.Equal(t, created.ID, subject.read(created, inputs).ID, "a Vault that does not answer keeps its keys")
	cluster[0].restart(t, false)
	cluster[1].restart(t, false)
	cluster[2].restart(t, false)
	eventually(t, "all new nodes say that they are not initialised", func() bool { return subject.read(created, inputs).ID == "" })
	renewed := subject.mustCreate(inputs)
	assert.NotEqual(t, created.Properties.Get("rootToken"), renewed.Properties.Get("rootToken"))

	_, err = newSubject(t.Context(), t, "VaultUnseal", "unseal-1").create(unsealInputs(ca, cluster, 0, keys))
	require.Error(t, err, "the keys of the Vault that was there before")
	t.Log(err)
	assert.Contains(t, err.Error(), "does not accept the unseal keys")
}

func TestVaultInitOfForeignVault(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cluster := startVault(t, ca, 2, nil)
	client := vaultClient(t, ca, cluster[1].address, "")
	eventually(t, "Vault is initialised by somebody else", func() bool {
		_, err := client.Sys().Init(&vault.InitRequest{SecretShares: 1, SecretThreshold: 1})
		return err == nil
	})
	_, err := newSubject(t.Context(), t, "VaultInit", "vault").create(initInputs(ca, cluster))
	require.Error(t, err)
	t.Log(err)
	assert.Contains(t, err.Error(), "is already initialised, but this stack does not hold its keys")
	assert.Contains(t, err.Error(), "pulumi up --replace '**:Server::server-1' --replace '**:Server::server-2'")
}

func TestVaultInitWaitsForEveryNode(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cluster := startVault(t, ca, 1, nil)
	cluster = append(cluster, &product{address: "https://" + local(freePorts(t, 1)[0])})
	_, err := newSubject(t.Context(), t, "VaultInit", "vault").create(with(initInputs(ca, cluster), "timeout", "4s"))
	require.Error(t, err)
	t.Log(err)
	assert.Regexp(t, `timed out after 4s: want Vault on server-2 \(https://127.0.0.1:\d+\) to answer, got: .*connection refused`, err.Error())
	initialised, err := vaultClient(t, ca, cluster[0].address, "").Sys().InitStatus()
	require.NoError(t, err)
	assert.False(t, initialised)
}

func TestVaultUnsealBeforeInit(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cluster := startVault(t, ca, 1, nil)
	inputs := map[string]any{"node": nodes(addresses(cluster)...)[0], "caPem": ca.pem, "timeout": "3s", "keys": []any{"a2V5"}}
	_, err := newSubject(t.Context(), t, "VaultUnseal", "unseal").create(inputs)
	require.Error(t, err)
	t.Log(err)
	assert.Contains(t, err.Error(), "to be unsealed, got: not initialised")
}

// A second Vault is the key management service of the first one.
func TestVaultAutoUnseal(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	kms := startVault(t, ca, 1, nil)
	inputs := with(with(initInputs(ca, kms), "shares", 1), "threshold", 1)
	kmsKeys := newSubject(t.Context(), t, "VaultInit", "kms").mustCreate(inputs).Properties
	newSubject(t.Context(), t, "VaultUnseal", "kms").mustCreate(unsealInputs(ca, kms, 0, kmsKeys.Get("unsealKeys")))
	root := vaultClient(t, ca, kms[0].address, kmsKeys.Get("rootToken").AsString())
	eventually(t, "the transit engine is mounted", func() bool {
		err := root.Sys().Mount("transit", &vault.MountInput{Type: "transit"})
		return err == nil || strings.Contains(err.Error(), "path is already in use")
	})
	_, err := root.Logical().Write("transit/keys/unseal", map[string]any{})
	require.NoError(t, err)

	cluster := startVault(t, ca, 1, map[string]any{"seal": []any{map[string]any{"transit": map[string]any{
		"address": kms[0].address, "token": root.Token(), "key_name": "unseal", "mount_path": "transit/", "tls_ca_cert": filepath.Join(kms[0].dir, "ca.pem"),
	}}}})
	subject := newSubject(t.Context(), t, "VaultInit", "vault")

	_, err = subject.create(initInputs(ca, cluster))
	require.Error(t, err, "unseal keys are not for a Vault that unseals itself")
	t.Log(err)

	created := subject.mustCreate(with(initInputs(ca, cluster), "autoUnseal", true)).Properties
	assert.Equal(t, 0, created.Get("unsealKeys").AsArray().Len())
	assert.Equal(t, 5, created.Get("recoveryKeys").AsArray().Len())
	unsealed := newSubject(t.Context(), t, "VaultUnseal", "unseal").mustCreate(map[string]any{
		"node": nodes(addresses(cluster)...)[0], "caPem": ca.pem, "timeout": "60s",
	})
	assert.False(t, unsealed.Properties.Get("sealed").AsBool())
}
