package mirror

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// signer signs the repositories' metadata.
type signer struct{ entity *openpgp.Entity }

// loadSigner reads the signing key, or makes one. The key is never shared: everybody who runs a local cloud has their own.
func loadSigner(path string) (signer, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newSigner(path)
	}
	if err != nil {
		return signer{}, err
	}
	keys, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(content))
	if err != nil {
		return signer{}, fmt.Errorf("read the mirror's signing key %s (delete it to get a new one): %w", path, err)
	}
	return signer{keys[0]}, nil
}

func newSigner(path string) (signer, error) {
	entity, err := openpgp.NewEntity("Local cloud package mirror", "", "", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	if err != nil {
		return signer{}, fmt.Errorf("make the mirror's signing key: %w", err)
	}
	var out bytes.Buffer
	w, err := armor.Encode(&out, openpgp.PrivateKeyType, nil)
	if err != nil {
		return signer{}, err
	}
	if err := errors.Join(entity.SerializePrivate(w, nil), w.Close()); err != nil {
		return signer{}, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return signer{}, err
	}
	return signer{entity}, os.WriteFile(path, out.Bytes(), 0o600)
}

// public returns the armoured public key.
func (s signer) public() (string, error) {
	var out bytes.Buffer
	w, err := armor.Encode(&out, openpgp.PublicKeyType, nil)
	if err != nil {
		return "", err
	}
	if err := errors.Join(s.entity.Serialize(w), w.Close()); err != nil {
		return "", err
	}
	return out.String() + "\n", nil
}

// inline returns the text with its signature around it, as in InRelease.
func (s signer) inline(text []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := clearsign.Encode(&out, s.entity.PrivateKey, nil)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return append(out.Bytes(), '\n'), nil
}

// detached returns the signature alone, as in Release.gpg.
func (s signer) detached(text []byte) ([]byte, error) {
	var out bytes.Buffer
	err := openpgp.ArmoredDetachSign(&out, s.entity, bytes.NewReader(text), nil)
	return out.Bytes(), err
}
