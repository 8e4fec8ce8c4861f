package machine

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestForeign(t *testing.T) {
	of := func(state, kind, name string) thing { return thing{kind, name, map[string]string{labelState: state}} }
	require.NoError(t, foreign([]thing{of("/mine", "container", "c-1"), of("/mine", "network", "c-a-public")}, "c", "/mine"))

	err := foreign([]thing{
		of("/mine", "container", "c-1"), of("/theirs", "container", "c-2"), of("/theirs", "volume", "c-2-disk"), {kind: "network", name: "c-b-3"},
	}, "c", "/mine")
	require.ErrorContains(t, err, `the local cloud "c" of /theirs made container c-2, volume c-2-disk: run `+"`make down`")
	require.ErrorContains(t, err, "localcloud down --name c --state /theirs`")
	require.ErrorContains(t, err, "an older version made network c-b-3")
	require.ErrorContains(t, err, "`docker network rm c-b-3`")
	require.NotContains(t, err.Error(), "c-1")
}
