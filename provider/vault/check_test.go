package vault_test

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/property"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/provider/internal/rig"
)

func TestCheck(t *testing.T) {
	good := rig.Good(t)
	for name, test := range map[string]struct {
		resourceType, property string
		value                  any
		want                   map[string]string
	}{
		"no nodes": {"VaultInit", "cluster.nodes", []any{}, map[string]string{"cluster.nodes": "must name at least one node"}},
		"not https": {"VaultInit", "cluster.nodes", rig.Nodes("http://10.0.1.10:8200"), map[string]string{
			"cluster.nodes[0].address": `must be like https://10.0.1.10:8200, got "http://10.0.1.10:8200"`,
		}},
		"a token": {"VaultInit", "cluster.token", "hvs.root", map[string]string{"cluster.token": "must be left out: there is no token yet"}},
		"node": {"VaultUnseal", "node", map[string]any{"name": "", "address": "x"}, map[string]string{
			"node.name": "must be the machine's logical name, got an empty string", "node.address": `must be like https://10.0.1.10:8200, got "x"`,
		}},
		"no certificate": {"VaultUnseal", "caPem", "hello", map[string]string{"caPem": "must hold at least one PEM certificate, found none in 5 bytes"}},
		"no certificate of the cluster": {"VaultInit", "cluster.caPem", "hello", map[string]string{
			"cluster.caPem": "must hold at least one PEM certificate, found none in 5 bytes",
		}},
		"timeout":     {"VaultInit", "timeout", "soon", map[string]string{"timeout": `must be a positive duration like 90s or 10m, got "soon"`}},
		"shares":      {"VaultInit", "shares", 256, map[string]string{"shares": "must be 1 to 255, got 256"}},
		"threshold":   {"VaultInit", "threshold", 6, map[string]string{"threshold": "must be 2 to the number of shares (5), or 1 of 1, got 6"}},
		"one of many": {"VaultInit", "threshold", 1, map[string]string{"threshold": "must be 2 to the number of shares (5), or 1 of 1, got 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			subject := rig.New(t.Context(), t, test.resourceType, "r")
			assert.Equal(t, test.want, subject.Refused(property.Map{}, rig.With(good[test.resourceType], test.property, test.value)))
		})
	}
}

func TestCheckDefaultsAndSecrets(t *testing.T) {
	good := rig.Good(t)
	vault := rig.New(t.Context(), t, "VaultInit", "vault").Checked(good["VaultInit"])
	assert.InDelta(t, 5, vault.Get("shares").AsNumber(), 0)
	assert.InDelta(t, 3, vault.Get("threshold").AsNumber(), 0)
	assert.Equal(t, "10m", vault.Get("timeout").AsString())
	assert.True(t, rig.New(t.Context(), t, "VaultUnseal", "u").Checked(good["VaultUnseal"]).Get("keys").Secret())
}

func TestKeysAreFixed(t *testing.T) {
	good := rig.Good(t)["VaultInit"]
	subject := rig.New(t.Context(), t, "VaultInit", "vault")
	old := subject.Checked(good)
	for name, value := range map[string]any{"shares": 7, "threshold": 2, "autoUnseal": true} {
		failures := subject.Refused(old, rig.With(good, name, value))
		require.Len(t, failures, 1)
		assert.Contains(t, failures[name], "is fixed once Vault is initialised")
		assert.Contains(t, failures[name], "vault operator rekey")
	}
	assert.Empty(t, subject.Refused(old, rig.With(good, "timeout", "1m")))
}
