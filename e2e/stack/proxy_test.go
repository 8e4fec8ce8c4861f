package stack

import (
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNoProxy(t *testing.T) {
	env := map[string]string{"NO_PROXY": "internal.example"}
	getenv := func(name string) string { return env[name] }
	assert.Empty(t, noProxy(getenv), "without a proxy, nothing is changed")
	env["https_proxy"] = "http://proxy.example:3128"
	want := "internal.example,127.0.0.1,localhost,198.18.0.0/16"
	assert.Equal(t, []variable{{"NO_PROXY", want}, {"no_proxy", want}}, noProxy(getenv))
	env["NO_PROXY"] = want
	assert.Equal(t, []variable{{"NO_PROXY", want}, {"no_proxy", want}}, noProxy(getenv), "twice is as once")
}

// The machines are reached past the proxy, and the rest of the world through it. Go reads the environment once, so a
// process of its own looks.
func TestProxyDoesNotSwallowMachines(t *testing.T) {
	if os.Getenv("HTTP_PROXY") == "" {
		again := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		again.Env = append(os.Environ(), "HTTP_PROXY=http://proxy.example:3128", "NO_PROXY=", "no_proxy=")
		out, err := again.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return
	}
	_, err := Open()
	require.NoError(t, err)
	proxyOf := func(address string) *url.URL {
		request, err := http.NewRequest(http.MethodGet, address, nil)
		require.NoError(t, err)
		proxy, err := http.ProxyFromEnvironment(request)
		require.NoError(t, err)
		return proxy
	}
	assert.Nil(t, proxyOf(mirrorKey))
	assert.Nil(t, proxyOf("http://"+CloudAddress))
	assert.NotNil(t, proxyOf("http://example.com"))
}
