package machinetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Certificate is a certificate, in PEM, of which a percentage of its thousand seconds is left, and its key.
func Certificate(t *testing.T, name string, percent int) (certificate, privateKey string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	end := time.Now().Add(time.Duration(percent*10) * time.Second)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: end.Add(-1000 * time.Second), NotAfter: end, Subject: pkix.Name{CommonName: name},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}

// Bundle writes a certificate with its chain and its key to a file of the machine, and returns what it wrote.
func (d Disk) Bundle(t *testing.T, path, name string, percent int, chain ...string) string {
	t.Helper()
	certificate, key := Certificate(t, name, percent)
	bundle := certificate + strings.Join(chain, "") + key
	d.Write(t, path, bundle)
	return bundle
}
