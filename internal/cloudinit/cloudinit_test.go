package cloudinit

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRender(t *testing.T) {
	no := false
	config := Config{
		Hostname: "server-1", ManageEtcHosts: &no,
		WriteFiles: []File{
			{Path: "/etc/a", Permissions: "0644", Content: "one\n\ttwo: [\n"},
			{Path: "/etc/b", Owner: "b:b", Permissions: "0600", Defer: true, Content: "x"},
		},
		Apt:           &Apt{Sources: map[string]AptSource{"x.list": {Source: "deb https://example.com x main", Key: "KEY"}}},
		PackageUpdate: true,
		Packages:      []Package{{Name: "nftables"}, {Name: "consul", Version: "1.22.3-1"}},
		RunCommands:   [][]string{{"systemctl", "daemon-reload"}},
	}
	got, err := config.YAML()
	require.NoError(t, err)
	assert.Equal(t, `#cloud-config
hostname: server-1
manage_etc_hosts: false
write_files:
- path: /etc/a
  permissions: "0644"
  content: |
    one
    	two: [
- path: /etc/b
  owner: b:b
  permissions: "0600"
  defer: true
  content: x
apt:
  sources:
    x.list:
      source: deb https://example.com x main
      key: KEY
package_update: true
packages:
- nftables
- - consul
  - 1.22.3-1
runcmd:
- - systemctl
  - daemon-reload
`, string(got))

	userData, err := config.Render()
	require.NoError(t, err)
	zip, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, strings.NewReader(userData)))
	require.NoError(t, err)
	sent, err := io.ReadAll(zip)
	require.NoError(t, err)
	assert.Equal(t, string(got), string(sent))

	again, err := config.Render()
	require.NoError(t, err)
	assert.Equal(t, userData, again, "user-data that differs each time would replace the machine each time")
}

// These bytes decide whether a machine is replaced. If the test fails after an update of a module, the next update of every stack
// replaces all its machines: then say so in CHANGELOG.md.
func TestRenderIsTheSameEverywhere(t *testing.T) {
	pick := rand.New(rand.NewPCG(1, 2))
	words := strings.Fields("vault consul nomad server client { } = certificate /etc/hashistack path capabilities [ ] token")
	var text strings.Builder
	for range 10_000 {
		text.WriteString(words[pick.IntN(len(words))])
		text.WriteString([]string{" ", "\n", " \""}[pick.IntN(3)])
	}
	userData, err := Config{WriteFiles: []File{{Path: "/etc/a", Permissions: "0644", Content: text.String()}}}.Render()
	require.NoError(t, err)
	assert.Equal(t, "976c7cc99c0076f51ed28eda53e924dbabf12ce79f2980cc5f9817ab2c215ce7", fmt.Sprintf("%x", sha256.Sum256([]byte(userData))))
}

func TestRenderRefusesWhatTheCloudWould(t *testing.T) {
	config := func(size int) Config {
		// Nothing that could be compressed.
		content := rand.New(rand.NewPCG(1, 2))
		var b strings.Builder
		for b.Len() < size {
			fmt.Fprintf(&b, "%x", content.Uint64())
		}
		return Config{WriteFiles: []File{{Path: "/etc/a", Permissions: "0644", Content: b.String()}}}
	}
	fits, err := config(Limit).Render()
	require.NoError(t, err)
	assert.Less(t, len(fits), Limit)

	_, err = config(2 * Limit).Render()
	require.ErrorContains(t, err, "bytes exceeds the 32768 bytes that Hetzner accepts")
}
