package wait_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/provider/internal/wait"
)

// says is a server by what it says of the thing.
type says string

func (s says) String() string { return string(s) }

func TestGone(t *testing.T) {
	unknown := errors.New("not known here")
	ask := func(_ context.Context, server says) error {
		switch server {
		case "knows":
			return nil
		case "lost":
			return unknown
		}
		return errors.New("no answer")
	}
	for name, c := range map[string]struct {
		servers []says
		gone    bool
		doubt   string
	}{
		"all know it":                         {[]says{"knows", "knows", "knows"}, false, ""},
		"one lags behind":                     {[]says{"lost", "knows", "knows"}, false, ""},
		"one lags behind, the others are off": {[]says{"lost", "off", "off"}, false, "lost: not known here; off: no answer; off: no answer"},
		"none knows it":                       {[]says{"lost", "lost", "lost"}, true, ""},
		"none knows it, and one is off":       {[]says{"lost", "lost", "off"}, true, ""},
		"none answers":                        {[]says{"off"}, false, "off: no answer"},
		"there is one, and it does not":       {[]says{"lost"}, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			gone, err := wait.Gone(t.Context(), c.servers, unknown, ask)
			assert.Equal(t, c.gone, gone)
			if c.doubt == "" {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, c.doubt)
			}
		})
	}
}
