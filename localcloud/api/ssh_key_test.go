package api_test

import (
	"testing"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSSHKeys(t *testing.T) {
	c := startCloud(t)
	key, _, err := c.SSHKey.Create(c.ctx, hcloud.SSHKeyCreateOpts{Name: "key", PublicKey: testKey + "\n", Labels: map[string]string{"a": "b"}})
	require.NoError(t, err)
	assert.Equal(t, testKey, key.PublicKey)
	assert.Regexp(t, `^([0-9a-f]{2}:){15}[0-9a-f]{2}$`, key.Fingerprint)
	found, _, err := c.SSHKey.GetByFingerprint(c.ctx, key.Fingerprint)
	require.NoError(t, err)
	assert.Equal(t, key.ID, found.ID)

	_, _, err = c.SSHKey.Create(c.ctx, hcloud.SSHKeyCreateOpts{Name: "other", PublicKey: testKey})
	requireCode(t, err, hcloud.ErrorCodeUniquenessError, "fingerprint")
	_, _, err = c.SSHKey.Create(c.ctx, hcloud.SSHKeyCreateOpts{Name: "other", PublicKey: "ssh-rsa nonsense"})
	requireCode(t, err, hcloud.ErrorCodeInvalidInput, "public_key")
	key, _, err = c.SSHKey.Update(c.ctx, key, hcloud.SSHKeyUpdateOpts{Name: "renamed"})
	require.NoError(t, err)
	assert.Equal(t, "renamed", key.Name)
	assert.Equal(t, map[string]string{"a": "b"}, key.Labels, "labels that are not given stay")

	s := c.server("s", func(o *hcloud.ServerCreateOpts) { o.SSHKeys = []*hcloud.SSHKey{key} })
	_, err = c.SSHKey.Delete(c.ctx, key)
	require.NoError(t, err)
	result, _, err := c.Server.RebuildWithResult(c.ctx, s, hcloud.ServerRebuildOpts{Image: &hcloud.Image{Name: "debian-12"}})
	require.NoError(t, err)
	c.wait(result.Action)
	m, _ := c.runtime.machine(s.ID)
	assert.Equal(t, []string{testKey}, m.SSHKeys, "a server keeps the keys it was made with")
}

func TestServerTakesSSHKeysByName(t *testing.T) {
	c := startCloud(t)
	_, _, err := c.SSHKey.Create(c.ctx, hcloud.SSHKeyCreateOpts{Name: "key", PublicKey: testKey})
	require.NoError(t, err)
	a := c.raw("POST", "/v1/servers", testToken, `{"name":"s","server_type":"cx23","image":"debian-12","ssh_keys":["key"]}`)
	assert.Equal(t, 201, a.status)
	a = c.raw("POST", "/v1/servers", testToken, `{"name":"t","server_type":"cx23","image":"debian-12","ssh_keys":["none"]}`)
	assert.Equal(t, 422, a.status)
}

// A line more would let somebody in of whom the project shows nothing.
func TestSSHKeyOnOneLine(t *testing.T) {
	c := startCloud(t)
	for _, text := range []string{testKey + "\n" + testKey + "2", "# a comment\n" + testKey, testKey + "\r" + testKey} {
		_, _, err := c.SSHKey.Create(c.ctx, hcloud.SSHKeyCreateOpts{Name: "key", PublicKey: text})
		requireCode(t, err, hcloud.ErrorCodeInvalidInput, "public_key")
	}
}
