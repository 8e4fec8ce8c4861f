package machine

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// holder is a machine with certificates and a login to Vault, below a directory.
type holder struct{ root, bin, script string }

func newHolder(t *testing.T) holder {
	t.Helper()
	root := t.TempDir()
	h := holder{root, filepath.Join(root, "bin"), filepath.Join(root, "credentials")}
	content, err := static.ReadFile("files/base/usr/local/lib/hashistack/credentials")
	require.NoError(t, err)
	text := strings.NewReplacer("/etc/", root+"/etc/", "/run/", root+"/run/").Replace(string(content))
	for _, dir := range []string{"bin", "run/hashistack", "run/vault-agent", "etc/consul.d/tls", "etc/nomad.d/tls", "etc/vault.d/tls"} {
		require.NoError(t, os.MkdirAll(filepath.Join(root, dir), 0o700))
	}
	require.NoError(t, os.WriteFile(h.script, []byte(text), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(root, "run/vault-agent/token"), []byte("hvs.token"), 0o600))
	h.vault(t, `[ "$VAULT_TOKEN" = hvs.token ] && printf '{\n  "data": {\n    "creation_ttl": 1000,\n    "ttl": 900\n  }\n}\n'`)
	return h
}

// vault is what the Vault CLI does from now on.
func (h holder) vault(t *testing.T, does string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(h.bin, "vault"), []byte("#!/bin/sh\n"+does+"\n"), 0o700))
}

// certificate writes a bundle of which a percentage of its thousand seconds is left, with the key behind it.
func (h holder) certificate(t *testing.T, product string, percent int) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	end := time.Now().Add(time.Duration(percent*10) * time.Second)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: end.Add(-1000 * time.Second), NotAfter: end}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	bundle := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})...)
	require.NoError(t, os.WriteFile(filepath.Join(h.root, "etc", product+".d/tls", product+".pem"), bundle, 0o600))
}

// check looks, and returns what Consul would see.
func (h holder) check(t *testing.T) (code int, says string) {
	t.Helper()
	code, says = h.run(t, "look")
	require.Zero(t, code, says)
	return h.run(t, "report")
}

func (h holder) run(t *testing.T, arg string) (code int, says string) {
	t.Helper()
	cmd := exec.Command("/bin/sh", h.script, arg)
	cmd.Env = []string{"PATH=" + h.bin + ":/usr/bin:/bin"}
	output, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return cmd.ProcessState.ExitCode(), strings.ReplaceAll(string(output), h.root, "")
}

func TestCredentials(t *testing.T) {
	for name, c := range map[string]struct {
		consul, nomad int // percent left
		code          int
		want          string
	}{
		"all new":            {99, 60, 0, "passing: /etc/nomad.d/tls/nomad.pem has "},
		"to be renewed":      {99, 30, 0, "passing: /etc/nomad.d/tls/nomad.pem has "},
		"not renewed":        {99, 24, 1, "warning: /etc/nomad.d/tls/nomad.pem has "},
		"about to expire":    {14, 24, 2, "critical: /etc/consul.d/tls/consul.pem has "},
		"expired":            {-5, 99, 2, "critical: /etc/consul.d/tls/consul.pem has -"},
		"one red is enough":  {99, 10, 2, "passing: /etc/consul.d/tls/consul.pem has "},
		"red before yellow":  {24, 10, 2, "warning: /etc/consul.d/tls/consul.pem has "},
		"and the other way ": {10, 24, 2, "warning: /etc/nomad.d/tls/nomad.pem has "},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHolder(t)
			h.certificate(t, "consul", c.consul)
			h.certificate(t, "nomad", c.nomad)
			code, says := h.check(t)
			assert.Equal(t, c.code, code, says)
			assert.Contains(t, says, c.want)
			assert.Contains(t, says, "passing: the login to Vault has 900 s of 1000 s left")
			assert.NotContains(t, says, "vault.pem", "there is none")
		})
	}
}

func TestCredentialsThatAreNone(t *testing.T) {
	h := newHolder(t)
	require.NoError(t, os.WriteFile(filepath.Join(h.root, "etc/vault.d/tls/vault.pem"), []byte("half a fi"), 0o600))
	code, says := h.check(t)
	assert.Equal(t, 2, code)
	assert.Contains(t, says, "critical: /etc/vault.d/tls/vault.pem holds no certificate")
}

// While Vault does not answer, or refuses the token, the login goes on to end when it was to end.
func TestCredentialsWithoutVault(t *testing.T) {
	h := newHolder(t)
	h.vault(t, "exit 2")
	code, says := h.check(t)
	assert.Equal(t, 2, code)
	assert.Contains(t, says, "critical: not logged in to Vault")

	h.vault(t, `printf '{\n    "creation_ttl": 1000,\n    "ttl": 200\n}\n'`)
	code, says = h.check(t)
	assert.Equal(t, 1, code)
	assert.Contains(t, says, "warning: the login to Vault has 200 s of 1000 s left")

	h.vault(t, "exit 2")
	code, says = h.check(t)
	assert.Equal(t, 1, code, says)
	require.NoError(t, os.WriteFile(filepath.Join(h.root, "run/hashistack/login"), []byte("1 1000\n"), 0o600))
	code, says = h.check(t)
	assert.Equal(t, 2, code)
	assert.Contains(t, says, "critical: the login to Vault has -")
}

// Another lifetime of logins shows with the next renewal.
func TestCredentialsAfterAnotherLifetime(t *testing.T) {
	h := newHolder(t)
	for _, step := range []struct{ ttl, want string }{
		{"900", "passing: the login to Vault has 900 s of 1000 s left"},
		{"200", "warning: the login to Vault has 200 s of 1000 s left"},
		{"400", "passing: the login to Vault has 400 s of 400 s left"}, // renewed, for less than before
		{"350", "passing: the login to Vault has 350 s of 400 s left"},
		{"5000", "passing: the login to Vault has 5000 s of 5000 s left"},
	} {
		h.vault(t, `printf '{\n    "creation_ttl": 1000,\n    "ttl": `+step.ttl+`\n}\n'`)
		_, says := h.check(t)
		assert.Contains(t, says, step.want)
	}
}

// Nobody takes silence for good news.
func TestCredentialsThatNobodyLooksAt(t *testing.T) {
	h := newHolder(t)
	code, says := h.run(t, "report")
	assert.Equal(t, 2, code)
	assert.Contains(t, says, "nobody has looked")

	h.certificate(t, "consul", 99)
	code, says = h.check(t)
	assert.Zero(t, code, says)
	before := time.Now().Add(-6 * time.Minute)
	require.NoError(t, os.Chtimes(filepath.Join(h.root, "run/hashistack/credentials"), before, before))
	code, says = h.run(t, "report")
	assert.Equal(t, 2, code)
	assert.Contains(t, says, "nobody has looked")
}
