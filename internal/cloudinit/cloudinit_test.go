package cloudinit

import (
	"compress/gzip"
	"encoding/base64"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRender(t *testing.T) {
	no := false
	got, err := Config{
		Hostname: "server-1", ManageEtcHosts: &no,
		WriteFiles: []File{
			{Path: "/etc/a", Permissions: "0644", Content: "one\n\ttwo: [\n"},
			{Path: "/etc/b", Owner: "b:b", Permissions: "0600", Defer: true, Content: "x"},
		},
		Apt:           &Apt{Sources: map[string]AptSource{"x.list": {Source: "deb https://example.com x main", Key: "KEY"}}},
		PackageUpdate: true,
		Packages:      []Package{{Name: "nftables"}, {Name: "consul", Version: "1.22.3-1"}},
		RunCommands:   [][]string{{"systemctl", "daemon-reload"}},
	}.Render()
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
`, got)
}

func TestRenderRefusesWhatTheCloudWould(t *testing.T) {
	config := func(size int) Config {
		return Config{WriteFiles: []File{{Path: "/etc/a", Permissions: "0644", Content: strings.Repeat("x", size)}}}
	}
	empty, err := config(0).Render()
	require.NoError(t, err)
	room := Limit - len(empty) + len(`""`) // as the empty content is written

	fits, err := config(room).Render()
	require.NoError(t, err)
	assert.Len(t, fits, Limit)

	_, err = config(room + 1).Render()
	require.ErrorContains(t, err, "user-data of 32769 bytes exceeds the 32768 bytes that Hetzner accepts")
}

func TestCompress(t *testing.T) {
	long := File{Path: "/etc/a", Permissions: "0644", Content: strings.Repeat("a line\n", 500)}
	got, err := long.Compress()
	require.NoError(t, err)
	assert.Equal(t, "gz+b64", got.Encoding)
	assert.Less(t, len(got.Content), len(long.Content)/10)
	zip, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, strings.NewReader(got.Content)))
	require.NoError(t, err)
	content, err := io.ReadAll(zip)
	require.NoError(t, err)
	assert.Equal(t, long.Content, string(content))

	again, err := long.Compress()
	require.NoError(t, err)
	assert.Equal(t, got, again, "user-data that differs each time would replace the machine each time")

	short := File{Path: "/etc/a", Permissions: "0644", Content: "short"}
	got, err = short.Compress()
	require.NoError(t, err)
	assert.Equal(t, short, got)
}
