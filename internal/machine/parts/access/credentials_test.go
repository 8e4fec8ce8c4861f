package access

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/internal/machine/machinetest"
	"hashistack/internal/names"
)

// holder is a machine with certificates and a login to Vault.
type holder struct {
	machinetest.Disk
	script string
}

func newHolder(t *testing.T) holder {
	t.Helper()
	disk := machinetest.NewDisk(t, "answers", "run/hashistack", "run/vault-agent", "var/lib/hashistack",
		"etc/hashistack", "etc/consul.d/tls", "etc/nomad.d/tls", "etc/vault.d/tls")
	h := holder{disk, disk.Script(t, Part, names.Scripts+"credentials")}
	h.Write(t, "run/vault-agent/token", "hvs.token")
	h.Write(t, "etc/hashistack/ca.pem", certified(t, "root", 99))
	// It knows what the test has it know, and tells nobody but the machine.
	h.Command(t, "vault", `[ "$VAULT_TOKEN" = hvs.token ] && [ "$VAULT_FORMAT" = json ] && . "`+h.Root+`/answers/$(echo "$@" | tr / ' ')"`)
	h.answers(t, login, 100, 900)
	return h
}

const login = "token lookup"

// answers makes Vault say, to a command, how many seconds ago something was issued and how many it has left.
func (h holder) answers(t *testing.T, command string, ago, left int) {
	t.Helper()
	h.does(t, command, fmt.Sprintf(`printf '{\n  "data": {\n    "issue_time": "%s",\n    "last_renewal": null,\n    "ttl": %d\n  }\n}\n'`, before(ago), left))
}

// answersRenewed is answers for what was issued long ago, and renewed.
func (h holder) answersRenewed(t *testing.T, command string, ago, left int) {
	t.Helper()
	h.does(t, command, fmt.Sprintf(`printf '{\n    "issue_time": "2001-02-03T04:05:06.789Z",\n    "last_renewal": "%s",\n    "ttl": %d\n}\n'`, before(ago), left))
}

func before(ago int) string {
	return time.Now().Add(-time.Duration(ago) * time.Second).Format(time.RFC3339Nano)
}

// does is what the Vault CLI does for a command from now on.
func (h holder) does(t *testing.T, command, does string) {
	t.Helper()
	h.Write(t, "answers/"+strings.ReplaceAll(command, "/", " "), does+"\n")
}

// certified is a certificate of which a percentage of its thousand seconds is left.
func certified(t *testing.T, name string, percent int) string {
	t.Helper()
	certificate, _ := machinetest.Certificate(t, name, percent)
	return certificate
}

// certificate writes a bundle: a certificate of which a percentage is left, who certified it, and the key behind them.
func (h holder) certificate(t *testing.T, product string, percent int, chain ...string) {
	t.Helper()
	h.Bundle(t, filepath.Join("etc", product+".d/tls", product+".pem"), product, percent, chain...)
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
	cmd.Env = h.Env()
	output, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return cmd.ProcessState.ExitCode(), strings.ReplaceAll(string(output), h.Root, "")
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
	h.Write(t, "etc/vault.d/tls/vault.pem", "half a fi")
	code, says := h.check(t)
	assert.Equal(t, 2, code)
	assert.Contains(t, says, "critical: /etc/vault.d/tls/vault.pem holds no certificate")
}

// While Vault does not answer, or refuses the token, the login goes on to end when it was to end.
func TestCredentialsWithoutVault(t *testing.T) {
	h := newHolder(t)
	h.does(t, login, "exit 2")
	code, says := h.check(t)
	assert.Equal(t, 2, code)
	assert.Contains(t, says, "critical: Vault has never said how long the login to Vault lives")

	h.answers(t, login, 800, 200)
	code, says = h.check(t)
	assert.Equal(t, 1, code)
	assert.Regexp(t, "warning: the login to Vault has 200 s of 100[01] s left", says)

	h.does(t, login, "exit 2")
	code, says = h.check(t)
	assert.Equal(t, 1, code, says)
	h.Write(t, "run/hashistack/known/login", "1 1000\n")
	code, says = h.check(t)
	assert.Equal(t, 2, code)
	assert.Contains(t, says, "critical: the login to Vault has -")

	require.NoError(t, os.Remove(h.Path("run/vault-agent/token")))
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
		h.answersRenewed(t, login, step.ago, step.left)
		_, says := h.check(t)
		assert.Regexp(t, step.want, says)
	}
}

// A token can go stale while the login that it was issued under is renewed.
func TestCredentialsThatAreLeases(t *testing.T) {
	const agent, dns = "consul/creds/agent-client/one", "consul/creds/dns/two"
	h := newHolder(t)
	h.Write(t, "var/lib/hashistack/leases", "agent-client "+agent+"\ndns "+dns+"\n")
	h.answers(t, "lease lookup "+agent, 0, 1000)
	h.answersRenewed(t, "lease lookup "+dns, 10, 990)
	code, says := h.check(t)
	assert.Zero(t, code, says)
	assert.Regexp(t, "passing: the Consul token agent-client has 1000 s of 100[01] s left", says)
	assert.Regexp(t, "passing: the Consul token dns has 990 s of 100[01] s left", says)

	h.answersRenewed(t, "lease lookup "+dns, 800, 200)
	code, says = h.check(t)
	assert.Equal(t, 1, code, says)
	assert.Contains(t, says, "warning: the Consul token dns has 200 s")

	h.does(t, "lease lookup "+dns, `echo "error looking up lease id `+dns+`: * invalid lease" >&2; exit 2`)
	code, says = h.check(t)
	assert.Equal(t, 2, code, says)
	assert.Contains(t, says, "critical: the Consul token dns has 0 s")
	assert.NotContains(t, says, dns, "a lease is for those who may end it")
}

// A token that lives and may do nothing any more is replaced, with all others, and not again before five minutes have gone by.
func TestCredentialsThatMayDoNothing(t *testing.T) {
	const lease = "consul/creds/dns/two"
	h := newHolder(t)
	h.answers(t, "lease lookup "+lease, 0, 1000)
	h.Command(t, "systemctl", `echo "$@" >>"`+h.Path("asked")+`"`)
	consul := func(says string, code int) {
		h.Command(t, "consul", fmt.Sprintf(`[ "$CONSUL_HTTP_TOKEN" = the-secret ] && [ "$*" = "acl token read -self -format=json" ] && echo '%s' && exit %d`, says, code))
	}
	for name, c := range map[string]struct {
		says string
		code int
		bad  string
	}{
		"one that may":            {`{"Policies": [{"ID": "1", "Name": "dns"}]}`, 0, ""},
		"its policy is gone":      {`{"Policies": null, "Description": "Name"}`, 0, "critical: the Consul token dns has no policy any more"},
		"it is gone itself":       {`Unexpected response code: 403 (ACL not found)`, 1, "critical: Consul does not know the token dns"},
		"Consul does not answer":  {`dial tcp 127.0.0.1:8501: connect: connection refused`, 1, ""},
		"Consul has no leader":    {`Unexpected response code: 500 (No cluster leader)`, 1, ""},
		"leases of before, alone": {"", 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_ = os.Remove(h.Path("asked"))
			_ = os.Remove(h.Path("run/hashistack/renewed"))
			secret := " the-secret"
			if c.says == "" {
				secret = ""
			}
			h.Write(t, "var/lib/hashistack/leases", "dns "+lease+secret+"\n")
			consul(c.says, c.code)
			code, says := h.check(t)
			assert.NotContains(t, says, "the-secret")
			if c.bad == "" {
				assert.Zero(t, code, says)
				assert.NoFileExists(t, h.Path("asked"))
				return
			}
			assert.Equal(t, 2, code, says)
			assert.Contains(t, says, c.bad)
			_, _ = h.check(t)
			assert.Equal(t, "--no-block restart consul-template.service\n", h.Read(t, "asked"), "once")
		})
	}
}

// Who certified a certificate is renewed by an update, so it is seen months before.
func TestCredentialsOfAuthorities(t *testing.T) {
	h := newHolder(t)
	h.certificate(t, "consul", 99, certified(t, "hashistack Consul", 16), certified(t, "hashistack-2 root", 60))
	h.certificate(t, "nomad", 99, certified(t, "hashistack Nomad", 99), certified(t, "hashistack-2 root", 60))
	code, says := h.check(t)
	assert.Zero(t, code, says)
	assert.Contains(t, says, "passing: the authority hashistack Consul has ")
	assert.Contains(t, says, "passing: the root has ")
	assert.Equal(t, 1, strings.Count(says, "the authority hashistack-2 root"), says)

	h.certificate(t, "consul", 99, certified(t, "hashistack Consul", 14))
	code, says = h.check(t)
	assert.Equal(t, 1, code, says)
	assert.Contains(t, says, "warning: the authority hashistack Consul has ")

	h.Write(t, "etc/hashistack/ca.pem", certified(t, "root", 9))
	code, says = h.check(t)
	assert.Equal(t, 2, code, says)
	assert.Contains(t, says, "critical: the root has ")
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
	require.NoError(t, os.Chtimes(h.Path("run/hashistack/credentials"), before, before))
	code, says = h.run(t, "report")
	assert.Equal(t, 2, code)
	assert.Contains(t, says, "nobody has looked")
}
