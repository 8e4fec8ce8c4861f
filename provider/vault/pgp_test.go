package vault_test

import (
	"bytes"
	"encoding/base64"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/provider/internal/rig"
)

// pgpKey makes a key pair of somebody who keeps a recovery key.
func pgpKey(t *testing.T, name string, made time.Time, seconds uint32) *openpgp.Entity {
	t.Helper()
	key, err := openpgp.NewEntity(name, "", name+"@example.com", &packet.Config{
		Algorithm: packet.PubKeyAlgoEdDSA, Time: func() time.Time { return made }, KeyLifetimeSecs: seconds,
	})
	require.NoError(t, err)
	return key
}

// public is the public key as Vault takes it.
func public(t *testing.T, key *openpgp.Entity) string {
	t.Helper()
	var binary bytes.Buffer
	require.NoError(t, key.Serialize(&binary))
	return base64.StdEncoding.EncodeToString(binary.Bytes())
}

// initWith are good inputs of VaultInit with keys for several people.
func initWith(t *testing.T, keys ...any) map[string]any {
	t.Helper()
	inputs := rig.With(rig.Good(t)["VaultInit"], "shares", 2)
	inputs = rig.With(rig.With(inputs, "threshold", 2), "autoUnseal", true)
	return rig.With(inputs, "pgpKeys", keys)
}

func TestPGPKeysAreChecked(t *testing.T) {
	alice, bob := pgpKey(t, "alice", time.Now(), 0), pgpKey(t, "bob", time.Now(), 0)
	expired := public(t, pgpKey(t, "expired", time.Now().Add(-48*time.Hour), 3600))
	var private bytes.Buffer
	require.NoError(t, alice.SerializePrivate(&private, nil))
	subject := rig.New(t.Context(), t, "VaultInit", "vault")
	good := initWith(t, public(t, alice), public(t, bob))
	assert.Empty(t, subject.Refused(property.Map{}, good))
	for name, test := range map[string]struct {
		inputs     map[string]any
		path, want string
	}{
		"without a service":  {rig.With(good, "autoUnseal", false), "pgpKeys", "must be left out without autoUnseal"},
		"too few":            {initWith(t, public(t, alice)), "pgpKeys", "must be one for each of the 2 shares, got 1"},
		"one of two twice":   {initWith(t, public(t, alice), public(t, alice)), "pgpKeys[1]", "is the same key as pgpKeys[0]"},
		"no base64":          {initWith(t, public(t, alice), "-----BEGIN"), "pgpKeys[1]", "got 10 bytes that are no base64"},
		"no key":             {initWith(t, public(t, alice), "a2V5"), "pgpKeys[1]", "must be an OpenPGP public key"},
		"a private key":      {initWith(t, public(t, bob), base64.StdEncoding.EncodeToString(private.Bytes())), "pgpKeys[1]", "got a private key"},
		"expired before use": {initWith(t, public(t, alice), expired), "pgpKeys[1]", "nothing can be encrypted for the key"},
	} {
		t.Run(name, func(t *testing.T) {
			failures := subject.Refused(property.Map{}, test.inputs)
			require.Len(t, failures, 1)
			assert.Contains(t, failures[test.path], test.want)
			assert.NotContains(t, failures[test.path], base64.StdEncoding.EncodeToString(private.Bytes()))
		})
	}
}

// Keys are those that Vault was initialised with. What they were signed with since, their order and their end change nothing.
func TestPGPKeysAreFixed(t *testing.T) {
	alice, bob, carol := pgpKey(t, "alice", time.Now(), 0), pgpKey(t, "bob", time.Now(), 0), pgpKey(t, "carol", time.Now(), 0)
	subject := rig.New(t.Context(), t, "VaultInit", "vault")
	good := initWith(t, public(t, alice), public(t, bob))
	old := subject.Checked(good)
	for name, keys := range map[string][]any{"another": {public(t, alice), public(t, carol)}, "none": nil} {
		failures := subject.Refused(old, initWith(t, keys...))
		require.Len(t, failures, 1, name)
		assert.Contains(t, failures["pgpKeys"], "is fixed once Vault is initialised", name)
	}
	without := initWith(t)
	delete(without, "pgpKeys")
	assert.Contains(t, subject.Refused(subject.Checked(without), good)["pgpKeys"], "is fixed", "a stack that had none")
	assert.Empty(t, subject.Refused(subject.Checked(without), without))

	assert.Empty(t, subject.Refused(old, initWith(t, public(t, bob), public(t, alice))))
	before := public(t, alice)
	require.NoError(t, alice.SignIdentity("alice <alice@example.com>", bob, nil))
	require.NotEqual(t, before, public(t, alice))
	assert.Empty(t, subject.Refused(old, initWith(t, public(t, alice), public(t, bob))))

	late := pgpKey(t, "late", time.Now().Add(-48*time.Hour), 3600)
	expired := initWith(t, public(t, alice), public(t, late))
	ended := old.Set("pgpKeys", property.New([]property.Value{property.New(public(t, alice)), property.New(public(t, late))}))
	assert.Empty(t, subject.Refused(ended, expired), "it was good when Vault was initialised")
}
