package nomadserver

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/internal/machine/machinetest"
	"hashistack/internal/names"
)

// nomadServer stands for a Nomad server's machine, with the script and the token.
type nomadServer struct {
	machinetest.Disk
	script string
}

func newNomadServer(t *testing.T, addresses ...string) nomadServer {
	t.Helper()
	disk := machinetest.NewDisk(t, "etc/nomad.d/hashistack", "run")
	return nomadServer{disk, disk.Script(t, Part, names.Scripts+"restart-nomad", addresses...)}
}

// issue writes a new Consul token.
func (s nomadServer) issue(t *testing.T, token string) {
	t.Helper()
	s.Write(t, "etc/nomad.d/hashistack/consul.json", `{"consul": [{"token": "`+token+`"}]}`+"\n")
}

// run runs the script with commands of the test in place of the products'.
func (s nomadServer) run(t *testing.T, commands map[string]string, arg string) (string, error) {
	t.Helper()
	require.NoError(t, os.RemoveAll(s.Path("bin"))) // of the run before
	require.NoError(t, os.Mkdir(s.Path("bin"), 0o700))
	for name, does := range commands {
		s.Command(t, name, does)
	}
	cmd := exec.Command("/bin/sh", s.script, arg)
	cmd.Env = s.Env("DID="+s.Path("did"), "SCRIPT="+s.script)
	output, err := cmd.CombinedOutput()
	return string(output), err
}

// did is what the commands wrote down, and forgets it.
func (s nomadServer) did(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(s.Path("did"))
	if !os.IsNotExist(err) {
		require.NoError(t, err)
		require.NoError(t, os.Remove(s.Path("did")))
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

// A server that is a client too starts before anybody can introduce it.
func TestRestartNomadForAnIntroduction(t *testing.T) {
	s := newNomadServer(t)
	s.issue(t, "one")
	_, err := s.run(t, nomadRestarts(), "started")
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(s.Path("opt/nomad/data/client"), 0o700))
	s.Write(t, "opt/nomad/data/client/intro_token.jwt", "introduced")
	for _, want := range []string{"lock with one\nrestart nomad.service\n", ""} {
		output, err := s.run(t, nomadRestarts(), "in-turn")
		require.NoError(t, err, output)
		assert.Equal(t, want, s.did(t))
	}
}

// A token that comes while the server restarts for the one before.
func TestRestartNomadNoticesTheNextToken(t *testing.T) {
	s := newNomadServer(t)
	s.issue(t, "one")
	commands := nomadRestarts()
	commands["systemctl"] = `"$SCRIPT" started; echo "$@" >>"$DID"
[ "$(grep --count restart "$DID")" -gt 1 ] || echo '{"consul": [{"token": "next"}]}' >` + s.Path("etc/nomad.d/hashistack/consul.json")
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
