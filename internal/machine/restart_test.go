package machine

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// nomadServer stands for a Nomad server's machine: the script, the token and what the script notes, below a directory.
type nomadServer struct {
	root, script, token string
}

func newNomadServer(t *testing.T, addresses ...string) nomadServer {
	t.Helper()
	root := t.TempDir()
	s := nomadServer{root, filepath.Join(root, "restart-nomad"), filepath.Join(root, "etc/nomad.d/hashistack/consul.json")}
	content, err := static.ReadFile("files/nomad-server/usr/local/lib/hashistack/restart-nomad")
	require.NoError(t, err)
	text := strings.NewReplacer(append([]string{"/etc/", root + "/etc/", "/run/", root + "/run/"}, addresses...)...).Replace(string(content))
	require.NoError(t, os.MkdirAll(filepath.Dir(s.token), 0o700))
	require.NoError(t, os.MkdirAll(filepath.Join(root, "run"), 0o700))
	require.NoError(t, os.WriteFile(s.script, []byte(text), 0o700))
	return s
}

// issue writes a new Consul token.
func (s nomadServer) issue(t *testing.T, token string) {
	t.Helper()
	require.NoError(t, os.WriteFile(s.token, []byte(`{"consul": [{"token": "`+token+`"}]}`+"\n"), 0o600))
}

// run runs the script with commands of the test in place of the products'.
func (s nomadServer) run(t *testing.T, commands map[string]string, arg string) (string, error) {
	t.Helper()
	bin := t.TempDir()
	for name, content := range commands {
		require.NoError(t, os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+content), 0o700))
	}
	cmd := exec.Command("/bin/sh", s.script, arg)
	cmd.Env = []string{"PATH=" + bin + ":/usr/bin:/bin", "DID=" + filepath.Join(s.root, "did"), "SCRIPT=" + s.script}
	output, err := cmd.CombinedOutput()
	return string(output), err
}

// did is what the commands wrote down, and forgets it.
func (s nomadServer) did(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(s.root, "did"))
	if !os.IsNotExist(err) {
		require.NoError(t, err)
		require.NoError(t, os.Remove(filepath.Join(s.root, "did")))
	}
	return string(content)
}

// nomadRestarts are commands of a machine where all goes well.
func nomadRestarts() map[string]string {
	return map[string]string{
		"systemctl": `echo "$@" >>"$DID"; "$SCRIPT" started`,
		"nomad":     `echo '{"server":{"message":"ok","ok":true}}'`,
		"consul":    `echo "lock with $CONSUL_HTTP_TOKEN" >>"$DID"; shift 4; shift; exec "$@"`,
		"sleep":     `echo "sleep" >>"$DID"`,
		"shuf":      `echo 7`,
	}
}

func TestRestartNomadOnlyForAnotherToken(t *testing.T) {
	s := newNomadServer(t)
	s.issue(t, "one")
	_, err := s.run(t, nomadRestarts(), "started")
	require.NoError(t, err)

	output, err := s.run(t, nomadRestarts(), "in-turn")
	require.NoError(t, err, output)
	assert.Empty(t, s.did(t), "the server has this token already")

	s.issue(t, "two")
	output, err = s.run(t, nomadRestarts(), "in-turn")
	require.NoError(t, err, output)
	assert.Equal(t, "lock with two\nrestart nomad.service\n", s.did(t))

	output, err = s.run(t, nomadRestarts(), "in-turn")
	require.NoError(t, err, output)
	assert.Empty(t, s.did(t))
}

// A token that comes while the server restarts for the one before.
func TestRestartNomadNoticesTheNextToken(t *testing.T) {
	s := newNomadServer(t)
	s.issue(t, "one")
	commands := nomadRestarts()
	commands["systemctl"] = `"$SCRIPT" started; echo "$@" >>"$DID"
[ "$(grep --count restart "$DID")" -gt 1 ] || echo '{"consul": [{"token": "next"}]}' >` + s.token
	output, err := s.run(t, commands, "in-turn")
	require.NoError(t, err, output)
	assert.Equal(t, "lock with one\nrestart nomad.service\nlock with next\nrestart nomad.service\n", s.did(t))
}

// Nothing goes on for ever, and nobody waits for ever, whatever is broken.
func TestRestartNomadWithoutALock(t *testing.T) {
	s := newNomadServer(t)
	s.issue(t, "one")
	commands := nomadRestarts()
	commands["consul"] = `echo "no lock" >>"$DID"; exit 1`
	output, err := s.run(t, commands, "in-turn")
	require.NoError(t, err, output)
	assert.Contains(t, output, "no lock in attempt 3, consul lock ended with 1")
	assert.Equal(t, strings.Repeat("no lock\nsleep\n", 3)+"sleep\nrestart nomad.service\n", s.did(t))
}

func TestRestartNomadThatDoesNotBecomeHealthy(t *testing.T) {
	s := newNomadServer(t)
	s.issue(t, "one")
	commands := nomadRestarts()
	commands["nomad"] = `echo '{"server":{"message":"No known leader","ok":false}}'; exit 1`
	commands["consul"] = `shift 5; "$@" || exit 2`
	output, err := s.run(t, commands, "in-turn")
	require.NoError(t, err, output)
	assert.Contains(t, output, "no leader 90 s after the restart")
	assert.Equal(t, 1, strings.Count(s.did(t), "restart nomad.service"), "a restart would not mend it")
}

func TestRestartNomadThatDoesNotNoteItsToken(t *testing.T) {
	s := newNomadServer(t)
	s.issue(t, "one")
	commands := nomadRestarts()
	commands["systemctl"] = `echo "$@" >>"$DID"`
	output, err := s.run(t, commands, "in-turn")
	require.NoError(t, err, output)
	assert.Equal(t, 3, strings.Count(s.did(t), "restart nomad.service"))
}
