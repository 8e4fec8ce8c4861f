package machine

import (
	"archive/tar"
	"errors"
	"io"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// unpack returns contents and modes of the files in a seed.
func unpack(t *testing.T, spec Spec) (map[string]string, map[string]int64) {
	t.Helper()
	archive, err := seedDisk(spec, "http://198.18.0.1:8582", "the key\n")
	require.NoError(t, err)
	contents, modes := map[string]string{}, map[string]int64{}
	for r := tar.NewReader(archive); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return contents, modes
		}
		require.NoError(t, err)
		content, err := io.ReadAll(r)
		require.NoError(t, err)
		assert.NotContains(t, contents, h.Name, "written twice")
		contents[h.Name], modes[h.Name] = string(content), h.Mode
	}
}

func TestSeedDisk(t *testing.T) {
	const seed = "upper/var/lib/cloud/seed/nocloud/"
	spec := Spec{ID: 12, Name: "server-1", UserData: "#cloud-config\n", SSHKeys: []string{"ssh-ed25519 AAAA me"}}
	contents, modes := unpack(t, spec)
	assert.Equal(t, "#cloud-config\n", contents[seed+"user-data"])
	assert.EqualValues(t, 0o600, modes[seed+"user-data"], "user-data may hold secrets")
	assert.YAMLEq(t, "{instance-id: '12', local-hostname: server-1, public-keys: [ssh-ed25519 AAAA me]}", contents[seed+"meta-data"])
	assert.Contains(t, contents["upper/etc/apt/sources.list.d/debian.sources"], "URIs: http://198.18.0.1:8582/debian\n")
	assert.Equal(t, "the key\n", contents["upper/etc/apt/keyrings/cloud-mirror.asc"])
	assert.EqualValues(t, 0o755, modes["upper/"], "the root of the machine")

	spec.Public = netip.MustParseAddr("198.18.0.5")
	contents, _ = unpack(t, spec)
	assert.Equal(t, "the key\n", contents["upper/etc/apt/keyrings/cloud-mirror.asc"])
	for name, content := range contents {
		assert.NotContains(t, name, "cloud/", "it asks the metadata service")
		assert.NotContains(t, content, "#cloud-config")
	}
}

// A cloud that takes text only is given anything else in base64.
func TestUserDataInBase64(t *testing.T) {
	assert.Equal(t, "\x1f\x8b\x08", decoded("H4sI"))
	for _, plain := range []string{"#cloud-config\n", "#!/bin/sh\necho H4sI\n", ""} {
		assert.Equal(t, plain, decoded(plain))
	}
}
