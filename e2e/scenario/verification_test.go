package scenario

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Patterns of grep -iE for what turns the verification of certificates off.
const (
	// no and yes are the values of a setting as Go's and the products' parsers take them, in any notation.
	no  = `["' ]*[=:] *["']?(0|f|false|no|off|none)\b`
	yes = `["' ]*[=:] *["']?(1|t|true|yes|on)\b`

	// off is for our own files, where the mere possibility must not be named: VAULT_SKIP_VERIFY, NOMAD_SKIP_VERIFY,
	// tls_skip_verify, InsecureSkipVerify, insecure, CONSUL_HTTP_SSL_VERIFY, ssl { verify = false }, `curl -k`. Settings that we
	// do use are named with the value that turns them off: verify_incoming, verify_server_hostname.
	off = `skip[_-]?(tls[_-]?)?verify|insecure|ssl_?verify|verify_?ssl|ssl_no_verify|no[_-]check[_-]certificate|reject_unauthorized` +
		`|verify(_[a-z_]+)?` + no + `|verify-(peer|host)["' ]+(false|0|no)` +
		`|(curl|wget) (.* )?(-[a-z]*k\b|--insecure)` +
		`|trusted=yes`

	// switchedOff is off for files that the products write themselves. These spell out every setting, so only its value
	// tells.
	switchedOff = `(skip_?verify|insecure)` + yes + `|(ssl_?verify|verify_?ssl|verify_(incoming|outgoing|server_hostname))` + no

	// offInEnvironment is for the environments of processes.
	offInEnvironment = `(SKIP_VERIFY|SSL_NO_VERIFY|TLS_SKIP_VERIFY)=|(SSL_VERIFY|TLS_VERIFY|REJECT_UNAUTHORIZED|HTTPSVERIFY)` + no
)

// grep tells whether a pattern is in a text, by the program that looks for it on machines.
func grep(t *testing.T, pattern, text string) bool {
	t.Helper()
	cmd := exec.Command("grep", "-qaiE", "-e", pattern)
	cmd.Stdin = strings.NewReader(text)
	err := cmd.Run()
	if cmd.ProcessState.ExitCode() > 1 {
		require.NoError(t, err, pattern)
	}
	return err == nil
}

// TestPatternsOfVerification holds the patterns to every form that the products and their tools have, each beside its
// permitted twin.
func TestPatternsOfVerification(t *testing.T) {
	for where, c := range map[string]struct {
		pattern   string
		forms     []string
		permitted []string
	}{
		"our files": {off, []string{
			"VAULT_SKIP_VERIFY=true", "export NOMAD_SKIP_VERIFY=1", "Environment=CONSUL_HTTP_SSL_VERIFY=false", "CONSUL_HTTP_SSL_VERIFY=0",
			`"tls_skip_verify": true`, "tls_skip_verify = false", "InsecureSkipVerify: true", "insecure_skip_verify: true", "tls-skip-verify",
			`"verify_incoming": false`, "verify_outgoing = false", "verify_server_hostname=0", `"verify_https_client": "no"`, `"verify": false`,
			"verify = false", `ssl { enabled = true, verify = false }`, "ssl_verify none", "SSLVerify off", "verify_ssl: off", "verify=off",
			"curl -k https://x", "curl -sk https://x", "curl -fsSLk https://x", "curl --silent --insecure https://x", "curl https://x -k",
			"wget --no-check-certificate https://x", "GIT_SSL_NO_VERIFY=true", "NODE_TLS_REJECT_UNAUTHORIZED=0",
			`Acquire::https::Verify-Peer "false";`, `Acquire::https::example.com::Verify-Host "false";`, "deb [trusted=yes] https://x stable main",
		}, []string{
			`"verify_incoming": true,`, `"verify_server_hostname": true`, `"encrypt_verify_outgoing": true`, `"verify": true`, "verify = 1",
			"curl --cacert /etc/ssl/ca.pem https://x", "curl -fsS --key k.pem https://x", "curl https://x/probe-task", `Verify-Peer "true";`, "# verify none of it by hand",
		}},
		"products' files": {switchedOff, []string{
			`"InsecureSkipVerify":true`, `"TLSSkipVerify": true`, "tls_skip_verify = true", `"tls_skip_verify": "1"`, `"insecure": true`,
			`"verify_incoming": false`, "verify_outgoing = 0", `"ssl_verify": "none"`, `"SSLVerify":false`,
		}, []string{
			`"InsecureSkipVerify":false`, `"TLSSkipVerify": false`, "tls_skip_verify = 0", `"insecure": false`, `"verify_incoming": true`,
			`"SSLVerify":true`,
		}},
		"environments": {offInEnvironment, []string{
			"VAULT_SKIP_VERIFY=1", "NOMAD_SKIP_VERIFY=true", "CONSUL_HTTP_SSL_VERIFY=false", "CONSUL_HTTP_SSL_VERIFY=0", "A=1\x00CONSUL_HTTP_SSL_VERIFY=f\x00B=2",
			"NODE_TLS_REJECT_UNAUTHORIZED=0", "PYTHONHTTPSVERIFY=0", "GIT_SSL_NO_VERIFY=1", "DOCKER_TLS_VERIFY=0",
		}, []string{"CONSUL_HTTP_SSL_VERIFY=true", "CONSUL_HTTP_SSL_VERIFY=1", "VAULT_CACERT=/etc/ssl/ca.pem", "DOCKER_TLS_VERIFY=1"}},
	} {
		for _, form := range c.forms {
			assert.True(t, grep(t, c.pattern, form), "%s: %q turns verification off", where, form)
		}
		for _, form := range c.permitted {
			assert.False(t, grep(t, c.pattern, form), "%s: %q does not", where, form)
		}
	}
}

// What machines are made from passes: the golden user-data of each kind of machine, with all our files.
func TestMachinesVerify(t *testing.T) {
	content, err := os.ReadFile("../../internal/machine/parts/testdata/machines.txtar")
	require.NoError(t, err)
	require.True(t, grep(t, `"verify_incoming": true`, string(content)), "the files are in it")
	assert.False(t, grep(t, off, string(content)))
}
