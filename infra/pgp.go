package infra

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// readPGPKeys reads the keys of those who keep Vault's recovery keys.
func (p *problems) readPGPKeys(keys *VaultKeys) {
	seen := map[string]int{}
	for i, name := range keys.PGPKeyFiles {
		path := fmt.Sprintf("vaultKeys.pgpKeyFiles[%d]", i)
		content, err := readFile(name)
		if err != nil {
			p.add(path, "%v", err)
			continue
		}
		key, binary, err := readPGPKey(content)
		if err != nil {
			p.add(path, "%s %v", shown(name), err)
			continue
		}
		fingerprint := string(key.PrimaryKey.Fingerprint)
		if first, twice := seen[fingerprint]; twice {
			p.add(path, "%s has the same key as vaultKeys.pgpKeyFiles[%d], %X: give everybody who keeps a share a key of their own",
				shown(name), first, fingerprint)
			continue
		}
		seen[fingerprint] = i
		keys.pgpKeys = append(keys.pgpKeys, base64.StdEncoding.EncodeToString(binary))
	}
}

// largestPGPKey is far above what a key with many signatures has, and far below what a request to Vault may have.
const largestPGPKey = 256 << 10

// howToExport is the remedy for a file that is no key.
const howToExport = "export it with `gpg --armor --export-options export-minimal --export`"

// readPGPKey reads the public key that a file holds, and returns its binary form too, which Vault takes in base64. It may
// have expired: what Vault has encrypted for it stays readable. Whether Vault can still encrypt for it, our provider asks
// before it initialises.
func readPGPKey(content string) (*openpgp.Entity, []byte, error) {
	if len(content) > largestPGPKey {
		return nil, nil, fmt.Errorf("has %d bytes, more than the %d that a key may have: %s", len(content), largestPGPKey, howToExport)
	}
	binary, err := unwrapped(content)
	if err != nil {
		return nil, nil, err
	}
	packets := packet.NewReader(bytes.NewReader(binary))
	key, err := openpgp.ReadEntity(packets)
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("holds no OpenPGP public key (%w): %s", err, howToExport)
	case key.PrivateKey != nil:
		return nil, nil, errors.New("holds a private key, which nobody but its owner should have: " + howToExport)
	}
	if _, err := openpgp.ReadEntity(packets); !errors.Is(err, io.EOF) {
		return nil, nil, errors.New("holds more than one key, of which Vault would take the first: put each into a file of its own")
	}
	if !encrypts(key) {
		return nil, nil, fmt.Errorf("holds the key %X, which is for signatures only, or is revoked: nothing can be encrypted for it; "+
			"its owner exports one with a subkey for encryption", key.PrimaryKey.Fingerprint)
	}
	return key, binary, nil
}

// unwrapped is a key's binary form, whatever it is written in.
func unwrapped(content string) ([]byte, error) {
	if strings.Contains(content, "-----BEGIN") {
		block, err := armor.Decode(strings.NewReader(content))
		if err != nil {
			return nil, fmt.Errorf("has a broken ASCII armour (%w): %s", err, howToExport)
		}
		if strings.Count(content, "-----BEGIN") > 1 {
			return nil, errors.New("holds more than one key, of which Vault would take the first: put each into a file of its own")
		}
		binary, err := io.ReadAll(block.Body)
		if err != nil {
			return nil, fmt.Errorf("has a broken ASCII armour (%w): %s", err, howToExport)
		}
		return binary, nil
	}
	if binary, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(content), "")); err == nil {
		return binary, nil
	}
	return []byte(content), nil
}

// encrypts tells whether a key is for encryption, today or when it was made.
func encrypts(key *openpgp.Entity) bool {
	moments := []time.Time{time.Now(), key.PrimaryKey.CreationTime}
	for _, subkey := range key.Subkeys {
		moments = append(moments, subkey.PublicKey.CreationTime)
	}
	for _, moment := range moments {
		if _, can := key.EncryptionKey(moment); can {
			return true
		}
	}
	return false
}
