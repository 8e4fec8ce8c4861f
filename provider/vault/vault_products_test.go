//go:build products

package vault_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	vault "github.com/hashicorp/vault/api"
	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/provider/internal/cluster"
	"hashistack/provider/internal/rig"
)

func vaultClient(t *testing.T, ca rig.Authority, address, token string) *vault.Client {
	t.Helper()
	http, err := cluster.HTTPClient(ca.PEM)
	require.NoError(t, err)
	client, err := vault.NewClient(&vault.Config{Address: address, HttpClient: http})
	require.NoError(t, err)
	client.SetToken(token)
	return client
}

func TestVaultLifecycle(t *testing.T) {
	t.Parallel()
	ca := rig.NewAuthority(t)
	servers := rig.StartVault(t, ca, 3, nil)
	subject := rig.New(t.Context(), t, "VaultInit", "vault")
	inputs := rig.InitInputs(ca, servers)

	created := subject.MustCreate(inputs)
	keys := created.Properties.Get("unsealKeys")
	for _, name := range []string{"rootToken", "unsealKeys", "recoveryKeys"} {
		assert.True(t, created.Properties.Get(name).Secret(), "%s must be a secret", name)
	}
	assert.Equal(t, 5, keys.AsArray().Len())
	read := subject.Read(created, inputs)
	assert.Equal(t, created.ID, read.ID)
	assert.Equal(t, created.Properties, read.Properties, "a refresh must not show a difference")

	// Unseal all at once, as Pulumi does: the standbys wait until there is a leader to join.
	unsealed := make([]p.CreateResponse, len(servers))
	t.Run("unseal", func(t *testing.T) {
		for i := range servers {
			t.Run(fmt.Sprint(i+1), func(t *testing.T) {
				t.Parallel()
				unsealed[i] = rig.New(t.Context(), t, "VaultUnseal", fmt.Sprintf("unseal-%d", i+1)).MustCreate(rig.UnsealInputs(ca, servers, i, keys))
				assert.False(t, unsealed[i].Properties.Get("sealed").AsBool())
				assert.True(t, unsealed[i].Properties.Get("keys").Secret())
			})
		}
	})
	root := vaultClient(t, ca, servers[0].Address, created.Properties.Get("rootToken").AsString())
	self, err := root.Auth().Token().LookupSelf()
	require.NoError(t, err)
	assert.Contains(t, self.Data["policies"], "root")
	rig.Eventually(t, "all three are in the Raft cluster", func() bool {
		state, err := root.Sys().RaftAutopilotState()
		return err == nil && len(state.Voters) == 3
	})

	// A restarted node is sealed: the refresh finds it, the update mends it.
	servers[2].Restart(t, true)
	third := rig.New(t.Context(), t, "VaultUnseal", "unseal-3")
	thirdInputs := rig.UnsealInputs(ca, servers, 2, keys)
	var sealed p.ReadResponse
	rig.Eventually(t, "the restarted node answers", func() bool {
		sealed = third.Read(unsealed[2], thirdInputs)
		return sealed.Properties.Get("sealed").AsBool()
	})
	diff := third.Diff(sealed.Properties, thirdInputs, thirdInputs)
	require.True(t, diff.HasChanges)
	assert.Equal(t, map[string]p.PropertyDiff{"sealed": {Kind: p.Update}}, diff.DetailedDiff)
	updated, err := third.Server.Update(p.UpdateRequest{ID: "unseal-3", Urn: third.URN, State: sealed.Properties, Inputs: third.Checked(thirdInputs)})
	require.NoError(t, err)
	assert.False(t, updated.Properties.Get("sealed").AsBool())
	assert.Equal(t, unsealed[2].Properties, updated.Properties)

	// One node that was replaced does not make Vault a new one; all of them do.
	servers[2].Restart(t, false)
	assert.Equal(t, created.ID, subject.Read(created, inputs).ID)
	servers[0].Stop(t)
	servers[1].Stop(t)
	assert.Equal(t, created.ID, subject.Read(created, inputs).ID, "a Vault that does not answer keeps its keys")
	servers[0].Restart(t, false)
	servers[1].Restart(t, false)
	servers[2].Restart(t, false)
	rig.Eventually(t, "all new nodes say that they are not initialised", func() bool { return subject.Read(created, inputs).ID == "" })
	renewed := subject.MustCreate(inputs)
	assert.NotEqual(t, created.Properties.Get("rootToken"), renewed.Properties.Get("rootToken"))

	_, err = rig.New(t.Context(), t, "VaultUnseal", "unseal-1").Create(rig.UnsealInputs(ca, servers, 0, keys))
	require.Error(t, err, "the keys of the Vault that was there before")
	t.Log(err)
	assert.Contains(t, err.Error(), "does not accept the unseal keys")
}

func TestVaultInitOfForeignVault(t *testing.T) {
	t.Parallel()
	ca := rig.NewAuthority(t)
	servers := rig.StartVault(t, ca, 2, nil)
	client := vaultClient(t, ca, servers[1].Address, "")
	rig.Eventually(t, "Vault is initialised by somebody else", func() bool {
		_, err := client.Sys().Init(&vault.InitRequest{SecretShares: 1, SecretThreshold: 1})
		return err == nil
	})
	_, err := rig.New(t.Context(), t, "VaultInit", "vault").Create(rig.InitInputs(ca, servers))
	require.Error(t, err)
	t.Log(err)
	assert.Contains(t, err.Error(), "is already initialised, but this stack does not hold its keys")
	assert.Contains(t, err.Error(), `RUNBOOK.md, "Vault is initialised, but its keys were never recorded"`)
	assert.NotContains(t, err.Error(), "--replace")
}

func TestVaultInitWaitsForEveryNode(t *testing.T) {
	t.Parallel()
	ca := rig.NewAuthority(t)
	servers := rig.StartVault(t, ca, 1, nil)
	servers = append(servers, &rig.Product{Address: "https://" + rig.Local(rig.FreePorts(t, 1)[0])})
	_, err := rig.New(t.Context(), t, "VaultInit", "vault").Create(rig.With(rig.InitInputs(ca, servers), "timeout", "4s"))
	require.Error(t, err)
	t.Log(err)
	assert.Regexp(t, `timed out after 4s: want Vault on server-2 \(https://127.0.0.1:\d+\) to answer, got: .*connection refused`, err.Error())
	initialised, err := vaultClient(t, ca, servers[0].Address, "").Sys().InitStatus()
	require.NoError(t, err)
	assert.False(t, initialised)
}

func TestVaultUnsealBeforeInit(t *testing.T) {
	t.Parallel()
	ca := rig.NewAuthority(t)
	servers := rig.StartVault(t, ca, 1, nil)
	inputs := map[string]any{"node": rig.Nodes(rig.Addresses(servers)...)[0], "caPem": ca.PEM, "timeout": "3s", "keys": []any{"a2V5"}}
	_, err := rig.New(t.Context(), t, "VaultUnseal", "unseal").Create(inputs)
	require.Error(t, err)
	t.Log(err)
	assert.Contains(t, err.Error(), "to be unsealed, got: not initialised")
}

// sealed starts a Vault that a second one unseals: its key management service.
func sealed(t *testing.T, ca rig.Authority) []*rig.Product {
	t.Helper()
	kms := rig.StartVault(t, ca, 1, nil)
	inputs := rig.With(rig.With(rig.InitInputs(ca, kms), "shares", 1), "threshold", 1)
	kmsKeys := rig.New(t.Context(), t, "VaultInit", "kms").MustCreate(inputs).Properties
	rig.New(t.Context(), t, "VaultUnseal", "kms").MustCreate(rig.UnsealInputs(ca, kms, 0, kmsKeys.Get("unsealKeys")))
	root := vaultClient(t, ca, kms[0].Address, kmsKeys.Get("rootToken").AsString())
	rig.Eventually(t, "the transit engine is mounted", func() bool {
		err := root.Sys().Mount("transit", &vault.MountInput{Type: "transit"})
		return err == nil || strings.Contains(err.Error(), "path is already in use")
	})
	_, err := root.Logical().Write("transit/keys/unseal", map[string]any{})
	require.NoError(t, err)
	return rig.StartVault(t, ca, 1, map[string]any{"seal": []any{map[string]any{"transit": map[string]any{
		"address": kms[0].Address, "token": root.Token(), "key_name": "unseal", "mount_path": "transit/", "tls_ca_cert": filepath.Join(kms[0].Dir, "ca.pem"),
	}}}})
}

func TestVaultAutoUnseal(t *testing.T) {
	t.Parallel()
	ca := rig.NewAuthority(t)
	servers := sealed(t, ca)
	subject := rig.New(t.Context(), t, "VaultInit", "vault")

	_, err := subject.Create(rig.InitInputs(ca, servers))
	require.Error(t, err, "unseal keys are not for a Vault that unseals itself")
	t.Log(err)

	created := subject.MustCreate(rig.With(rig.InitInputs(ca, servers), "autoUnseal", true)).Properties
	assert.Equal(t, 0, created.Get("unsealKeys").AsArray().Len())
	assert.Equal(t, 5, created.Get("recoveryKeys").AsArray().Len())
	unsealed := rig.New(t.Context(), t, "VaultUnseal", "unseal").MustCreate(map[string]any{
		"node": rig.Nodes(rig.Addresses(servers)...)[0], "caPem": ca.PEM, "timeout": "60s",
	})
	assert.False(t, unsealed.Properties.Get("sealed").AsBool())
}

// Vault itself encrypts the recovery keys: nobody reads them in the state, and those whom they are for can use them.
func TestVaultEncryptsRecoveryKeys(t *testing.T) {
	t.Parallel()
	ca := rig.NewAuthority(t)
	servers := sealed(t, ca)
	people := []*openpgp.Entity{pgpKey(t, "alice", time.Now(), 0), pgpKey(t, "bob", time.Now(), 0)}
	inputs := rig.With(rig.With(rig.With(rig.InitInputs(ca, servers), "autoUnseal", true), "shares", 2), "threshold", 2)
	inputs = rig.With(inputs, "pgpKeys", []any{public(t, people[0]), public(t, people[1])})
	state := rig.New(t.Context(), t, "VaultInit", "vault").MustCreate(inputs).Properties
	rig.New(t.Context(), t, "VaultUnseal", "unseal").MustCreate(map[string]any{
		"node": rig.Nodes(rig.Addresses(servers)...)[0], "caPem": ca.PEM, "timeout": "60s",
	})
	require.Equal(t, 2, state.Get("recoveryKeys").AsArray().Len())

	whole := texts(property.New(state))
	var keys []string
	for i, person := range people {
		message, err := base64.StdEncoding.DecodeString(state.Get("recoveryKeys").AsArray().Get(i).AsString())
		require.NoError(t, err)
		_, err = openpgp.ReadMessage(bytes.NewReader(message), openpgp.EntityList{people[1-i]}, nil, nil)
		require.Error(t, err, "the other one's key opens it")
		opened, err := openpgp.ReadMessage(bytes.NewReader(message), openpgp.EntityList{person}, nil, nil)
		require.NoError(t, err)
		plain, err := io.ReadAll(opened.UnverifiedBody)
		require.NoError(t, err)
		key := string(plain) // hexadecimal digits
		binary, err := hex.DecodeString(key)
		require.NoError(t, err)
		require.NotContains(t, whole, key, "the state has the key in plain text")
		require.NotContains(t, whole, base64.StdEncoding.EncodeToString(binary))
		keys = append(keys, key)
	}
	require.Contains(t, whole, state.Get("rootToken").AsString(), "the state was looked through")

	// They are Vault's: two of them together make a root token, and one of them twice does not.
	client := vaultClient(t, ca, servers[0].Address, "")
	began, err := client.Sys().GenerateRootInit("", "")
	require.NoError(t, err)
	assert.Equal(t, 2, began.Required)
	progress, err := client.Sys().GenerateRootUpdate(keys[0], began.Nonce)
	require.NoError(t, err)
	require.False(t, progress.Complete)
	_, err = client.Sys().GenerateRootUpdate(keys[0], began.Nonce)
	require.ErrorContains(t, err, "already been provided")
	done, err := client.Sys().GenerateRootUpdate(keys[1], began.Nonce)
	require.NoError(t, err)
	assert.True(t, done.Complete)
	assert.NotEmpty(t, done.EncodedToken)
}

// texts are all texts of a value, secrets too, a line each.
func texts(value property.Value) string {
	var all strings.Builder
	switch {
	case value.IsString():
		return value.AsString() + "\n"
	case value.IsArray():
		for _, element := range value.AsArray().All {
			all.WriteString(texts(element))
		}
	case value.IsMap():
		for _, element := range value.AsMap().All {
			all.WriteString(texts(element))
		}
	}
	return all.String()
}
