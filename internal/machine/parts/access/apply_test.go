package access

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A systemctl that knows the unit's state, writes down what it is asked to do, and fails if told so.
const systemctl = `#!/bin/sh
case $1 in
is-active) echo "$STATE"; [ "$STATE" = active ] ;;
*) echo "$@" >>"$ASKED"; exit "$CODE" ;;
esac
`

func TestApply(t *testing.T) {
	bin := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(bin, "systemctl"), []byte(systemctl), 0o700))
	script, err := filepath.Abs("rootfs/usr/local/lib/hashistack/apply")
	require.NoError(t, err)

	for _, c := range []struct{ state, how, code, want string }{
		{"active", "reload", "0", "--no-block reload nomad.service\n"},
		{"active", "restart", "0", "--no-block restart nomad.service\n"},
		{"reloading", "reload", "0", "--no-block reload nomad.service\n"},
		{"active", "restart-in-turn", "0", "--no-block start nomad-restart.service\n"},
		{"activating", "restart-in-turn", "0", "--no-block restart nomad.service\n"},
		{"inactive", "restart-in-turn", "0", "--no-block start nomad.service\n"},
		{"active", "restart-in-turn", "1", "--no-block start nomad-restart.service\n"},
		{"activating", "reload", "0", "--no-block restart nomad.service\n"},
		{"inactive", "reload", "0", "--no-block start nomad.service\n"},
		{"inactive", "restart", "0", "--no-block start nomad.service\n"},
		{"failed", "reload", "0", "--no-block start nomad.service\n"},
		{"active", "reload", "1", "--no-block reload nomad.service\n"}, // and consul-template does not hear of it
	} {
		t.Run(c.state+" "+c.how+" "+c.code, func(t *testing.T) {
			asked := filepath.Join(t.TempDir(), "asked")
			cmd := exec.Command("/bin/sh", script, "nomad", c.how)
			cmd.Env = []string{"PATH=" + bin + ":/usr/bin:/bin", "STATE=" + c.state, "ASKED=" + asked, "CODE=" + c.code}
			output, err := cmd.CombinedOutput()
			require.NoError(t, err, "consul-template ends when a command fails: %s", output)
			got, err := os.ReadFile(asked)
			require.NoError(t, err)
			assert.Equal(t, c.want, string(got))
			assert.Equal(t, c.code != "0", len(output) > 0, "a failure is logged, nothing else is: %s", output)
		})
	}
}
