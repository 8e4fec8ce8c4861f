package vault

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"hashistack/provider/internal/check"
)

// checkKeys finds OpenPGP keys that Vault would not take, or would take and then encrypt for nobody.
func (args InitArgs) checkKeys(old property.Map, c *check.Problems) {
	switch {
	case len(args.PgpKeys) == 0:
		return
	case !args.AutoUnseal:
		c.Add("pgpKeys", "must be left out without autoUnseal: the stack unseals every new machine itself, for which it needs the keys in plain text")
	case len(args.PgpKeys) != args.Shares:
		c.Add("pgpKeys", "must be one for each of the %d shares, got %d", args.Shares, len(args.PgpKeys))
	}
	seen := map[string]int{}
	for i, encoded := range args.PgpKeys {
		path := fmt.Sprintf("pgpKeys[%d]", i)
		key, err := publicKey(encoded)
		if err == nil && old.Get("shares").IsNull() {
			// Later the key may expire: what Vault has encrypted stays readable.
			err = usable(key)
		}
		if err != nil {
			c.Add(path, "%v", err)
			continue
		}
		fingerprint := string(key.PrimaryKey.Fingerprint)
		if first, twice := seen[fingerprint]; twice {
			c.Add(path, "is the same key as pgpKeys[%d]: give everybody who keeps a share a key of their own", first)
			continue
		}
		seen[fingerprint] = i
	}
}

// publicKey reads a key as Vault does (helper/pgpkeys): the first one of its binary form in base64.
func publicKey(encoded string) (*openpgp.Entity, error) {
	const must = "must be an OpenPGP public key, its binary form in base64 (`gpg --export … | base64 -w0`)"
	binary, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("%s, got %d bytes that are no base64", must, len(encoded))
	}
	key, err := openpgp.ReadEntity(packet.NewReader(bytes.NewReader(binary)))
	if err != nil {
		return nil, fmt.Errorf("%s, got %d bytes that are none: %w", must, len(binary), err)
	}
	if key.PrivateKey != nil {
		return nil, errors.New(must + ", got a private key, which nobody but its owner should have")
	}
	return key, nil
}

// usable refuses a key that nothing can be encrypted for today.
func usable(key *openpgp.Entity) error {
	if _, can := key.EncryptionKey(time.Now()); !can {
		return fmt.Errorf("nothing can be encrypted for the key %X: it has expired, is revoked, or is for signatures only; "+
			"its owner exports another or a renewed one", key.PrimaryKey.Fingerprint)
	}
	return nil
}

// fingerprints tell keys apart, whoever has signed them since and in whatever order they are.
func fingerprints(keys []string) []string {
	var all []string
	for _, encoded := range keys {
		if key, err := publicKey(encoded); err == nil { // what is none is a problem already
			all = append(all, string(key.PrimaryKey.Fingerprint))
		}
	}
	slices.Sort(all)
	return all
}

// listOf are the texts of a list of inputs, none if there is no list.
func listOf(value property.Value) []string {
	if !value.IsArray() {
		return nil
	}
	var texts []string
	for _, element := range value.AsArray().All {
		if element.IsString() {
			texts = append(texts, element.AsString())
		}
	}
	return texts
}
