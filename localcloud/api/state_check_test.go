package api_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A state that somebody has changed by hand is refused with what is wrong in it, before anything relies on it.
func TestBrokenState(t *testing.T) {
	p := newProject(t)
	_, closed, err := p.open(t, p.state)
	require.NoError(t, err)
	closed()

	for want, change := range map[string][2]string{
		"is no IPv4 network":                       {`"10.0.1.0/24"`, `"2001:db8::/64"`},
		"source of a rule":                         {`"0.0.0.0/0"`, `"everywhere"`},
		`label selector "=("`:                      {`"role=web"`, `"=("`},
		"its address in network":                   {`"ip": "10.0.1.`, `"ip": "2001:db8::`},
		"ParseAddr":                                {`"ip": "198.18.`, `"ip": "x.18.`},
		"there is no server type 9999":             {`"power": "running",` + "\n" + `   "type": `, `"power": "running",` + "\n" + `   "type": 9999, "was": `},
		"its ID is not between 1 and last_id":      {`"last_id": 1`, `"last_id": -1`},
		`label "role": value "web!" must be empty`: {`"role": "web"`, `"role": "web!"`},
	} {
		broken := strings.ReplaceAll(string(p.state), change[0], change[1])
		require.NotEqual(t, string(p.state), broken, change[0])
		_, _, err := p.open(t, []byte(broken))
		require.ErrorContains(t, err, want, "%q", change)
		require.ErrorContains(t, err, "remove it with `localcloud down`")
	}
}
