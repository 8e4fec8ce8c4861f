package infra

import (
	"bytes"
	"encoding/base64"
	"os"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pgpKeyFiles writes keys of several people into the current folder, in the forms in which people have them.
func pgpKeyFiles(t testing.TB) {
	t.Helper()
	alice, bob := pgpKey(t, "alice", time.Now(), 0), pgpKey(t, "bob", time.Now(), 0)
	signer := pgpKey(t, "signer", time.Now(), 0)
	signer.Subkeys = nil
	expired := public(t, pgpKey(t, "expired", time.Now().Add(-48*time.Hour), 3600))
	var private bytes.Buffer
	require.NoError(t, alice.SerializePrivate(&private, nil))
	armouredAlice := armoured(t, openpgp.PublicKeyType, public(t, alice))
	armouredBob := armoured(t, openpgp.PublicKeyType, public(t, bob))
	for name, content := range map[string][]byte{
		"alice.asc":   armouredAlice,
		"alice.gpg":   public(t, alice),
		"alice.b64":   []byte(base64.StdEncoding.EncodeToString(public(t, alice)) + "\n"),
		"bob.asc":     armouredBob,
		"both.gpg":    append(public(t, alice), public(t, bob)...),
		"both.asc":    append(append([]byte{}, armouredAlice...), armouredBob...),
		"private.asc": armoured(t, openpgp.PrivateKeyType, private.Bytes()),
		"signer.asc":  armoured(t, openpgp.PublicKeyType, public(t, signer)),
		"expired.asc": armoured(t, openpgp.PublicKeyType, expired),
		"cut.asc":     armouredAlice[:40],
	} {
		require.NoError(t, os.WriteFile(name, content, 0o600))
	}
}

// pgpKey makes a key with a subkey for encryption.
func pgpKey(t testing.TB, name string, made time.Time, seconds uint32) *openpgp.Entity {
	t.Helper()
	key, err := openpgp.NewEntity(name, "", name+"@example.com", &packet.Config{
		Algorithm: packet.PubKeyAlgoEdDSA, Time: func() time.Time { return made }, KeyLifetimeSecs: seconds,
	})
	require.NoError(t, err)
	return key
}

func public(t testing.TB, key *openpgp.Entity) []byte {
	t.Helper()
	var binary bytes.Buffer
	require.NoError(t, key.Serialize(&binary))
	return binary.Bytes()
}

func armoured(t testing.TB, kind string, binary []byte) []byte {
	t.Helper()
	var text bytes.Buffer
	w, err := armor.Encode(&text, kind, nil)
	require.NoError(t, err)
	_, err = w.Write(binary)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return append(text.Bytes(), '\n')
}

// Whatever a key is written in, Vault gets its binary form in base64.
func TestPGPKeysAreNormalised(t *testing.T) {
	t.Setenv("HCLOUD_TOKEN", "a token")
	raw := stackConfig(t, "prod")
	t.Chdir(t.TempDir())
	pgpKeyFiles(t)
	raw["hashistack:seal"] = transit("")
	binary, err := os.ReadFile("alice.gpg")
	require.NoError(t, err)
	want := []string{base64.StdEncoding.EncodeToString(binary)}
	for _, name := range []string{"alice.asc", "alice.gpg", "alice.b64"} {
		raw["hashistack:vaultKeys"] = `{"pgpKeyFiles": ["` + name + `"]}`
		cfg, err := LoadConfig(raw)
		require.NoError(t, err)
		assert.Equal(t, want, cfg.VaultKeys.pgpKeys, name)
	}
}

// A stack that says nothing has one key, as all stacks had.
func TestVaultKeysByDefault(t *testing.T) {
	t.Setenv("HCLOUD_TOKEN", "a token")
	cfg, err := LoadConfig(stackConfig(t, "prod"))
	require.NoError(t, err)
	assert.Equal(t, VaultKeys{Shares: 1, Threshold: 1}, cfg.VaultKeys)
}

// FuzzReadPGPKey reads files that nobody would have. None makes a panic, and what is read can be read again as Vault does.
func FuzzReadPGPKey(f *testing.F) {
	alice := public(f, pgpKey(f, "alice", time.Now(), 0))
	f.Add(string(alice))
	f.Add(string(armoured(f, openpgp.PublicKeyType, alice)))
	f.Add(base64.StdEncoding.EncodeToString(alice))
	f.Add(testKey)
	f.Fuzz(func(t *testing.T, content string) {
		key, binary, err := readPGPKey(content)
		if err != nil {
			return
		}
		again, err := openpgp.ReadEntity(packet.NewReader(bytes.NewReader(binary)))
		require.NoError(t, err)
		require.Equal(t, key.PrimaryKey.Fingerprint, again.PrimaryKey.Fingerprint)
	})
}
