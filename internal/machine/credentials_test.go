package machine

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
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
	h.login(t, 100, 900)
	return h
}

// login makes Vault say of the machine's token, and of no other, how many seconds ago it was issued and how many it has left.
func (h holder) login(t *testing.T, ago, left int) {
	t.Helper()
	h.vault(t, fmt.Sprintf(`[ "$VAULT_TOKEN" = hvs.token ] && printf '{\n  "data": {\n    "creation_time": %d,\n    "ttl": %d\n  }\n}\n'`,
		time.Now().Unix()-int64(ago), left))
}

// renewedLogin is login for a token that was issued long ago, and renewed.
func (h holder) renewedLogin(t *testing.T, ago, left int) {
	t.Helper()
	h.vault(t, fmt.Sprintf(`printf '{\n    "creation_time": 1000000000,\n    "last_renewal": "%s",\n    "last_renewal_time": %d,\n    "ttl": %d\n}\n'`,
		time.Now().Format(time.RFC3339), time.Now().Unix()-int64(ago), left))
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
			assert.Regexp(t, "passing: the login to Vault has 900 s of 100[01] s left", says)
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

	h.login(t, 800, 200)
	code, says = h.check(t)
	assert.Equal(t, 1, code)
	assert.Regexp(t, "warning: the login to Vault has 200 s of 100[01] s left", says)

	h.vault(t, "exit 2")
	code, says = h.check(t)
	assert.Equal(t, 1, code, says)
	require.NoError(t, os.WriteFile(filepath.Join(h.root, "run/hashistack/login"), []byte("1 1000\n"), 0o600))
	code, says = h.check(t)
	assert.Equal(t, 2, code)
	assert.Contains(t, says, "critical: the login to Vault has -")
}

// What counts is what the last renewal gave: another lifetime by then, or, towards the end of a login that cannot be renewed any
// further, the rest of it.
func TestCredentialsAfterRenewals(t *testing.T) {
	h := newHolder(t)
	for _, step := range []struct {
		ago, left int
		want      string
	}{
		{0, 1000, "passing: the login to Vault has 1000 s of 100[01] s left"},
		{800, 200, "warning: the login to Vault has 200 s of 100[01] s left"},
		{900, 100, "critical: the login to Vault has 100 s of 100[01] s left"},
		{10, 390, "passing: the login to Vault has 390 s of 40[01] s left"},
		{100, 4900, "passing: the login to Vault has 4900 s of 500[01] s left"},
	} {
		h.renewedLogin(t, step.ago, step.left)
		_, says := h.check(t)
		assert.Regexp(t, step.want, says)
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
