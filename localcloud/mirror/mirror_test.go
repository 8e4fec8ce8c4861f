package mirror

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/files"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// newMirror makes a mirror of the real tool modules, with binaries small enough to package in no time: linked, as those in
// .tools/bin are.
func newMirror(t *testing.T, cache string) (*httptest.Server, *Mirror) {
	t.Helper()
	built, binaries, debian := t.TempDir(), t.TempDir(), t.TempDir()
	for _, p := range products {
		require.NoError(t, os.WriteFile(filepath.Join(built, p.name), []byte("the "+p.name+" binary"), 0o700))
		require.NoError(t, os.Symlink(filepath.Join(built, p.name), filepath.Join(binaries, p.name)))
	}
	require.NoError(t, write(nfpm.WithDefaults(&nfpm.Info{
		Name: "some-debian-package", Arch: "all", Version: "1.0", Maintainer: "Nobody <nobody@example.com>", Description: "For this test.",
		Overridables: nfpm.Overridables{Contents: files.Contents{{Source: filepath.Join(built, "vault"), Destination: "/usr/share/x"}}},
	}), filepath.Join(debian, "some-debian-package_1.0_all.deb")))

	m, err := New(t.Context(), Options{Tools: "../../tools", Binaries: binaries, Debian: debian, Cache: cache})
	require.NoError(t, err)
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	return server, m
}

func get(t *testing.T, url string) []byte {
	t.Helper()
	reply, err := http.Get(url)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, reply.StatusCode, url)
	body, err := io.ReadAll(reply.Body)
	require.NoError(t, errors.Join(err, reply.Body.Close()))
	return body
}

// TestRepositories follows the chain that apt follows: key, signature, index, package.
func TestRepositories(t *testing.T) {
	server, m := newMirror(t, t.TempDir())
	assert.Equal(t, m.Key(), string(get(t, server.URL+"/key.asc")))

	for repository, packages := range map[string][]string{
		"hashicorp": {"consul_1.", "consul-template_0.", "nomad_1.", "vault_1."},
		"debian":    {"some-debian-package_1.0_all.deb"},
	} {
		t.Run(repository, func(t *testing.T) {
			dist := server.URL + "/" + repository + "/dists/bookworm/"
			release := string(get(t, dist+"Release"))
			assert.Contains(t, release, "Codename: bookworm\n")
			gpgv(t, m.Key(), get(t, dist+"InRelease"), nil)
			gpgv(t, m.Key(), get(t, dist+"Release.gpg"), []byte(release))

			for _, name := range []string{"Packages", "Packages.gz"} {
				path := "main/binary-" + runtime.GOARCH + "/" + name
				index := get(t, dist+path)
				assert.Contains(t, release, fmt.Sprintf(" %s %d %s\n", sum(index), len(index), path))
			}
			unzipped, err := gzip.NewReader(bytes.NewReader(get(t, dist+"main/binary-"+runtime.GOARCH+"/Packages.gz")))
			require.NoError(t, err)
			index, err := io.ReadAll(unzipped)
			require.NoError(t, err)

			stanzas := strings.Split(strings.TrimSpace(string(index)), "\n\n")
			require.Len(t, stanzas, len(packages))
			for i, stanza := range stanzas {
				path := field(stanza, "Filename")
				assert.Contains(t, path, "/main/"+packages[i])
				deb := get(t, server.URL+"/"+repository+"/"+path)
				assert.Equal(t, sum(deb), field(stanza, "SHA256"))
				assert.Equal(t, fmt.Sprint(len(deb)), field(stanza, "Size"))
			}
		})
	}
}

// Several local clouds that start at once on one cache get the same key and packages.
func TestOneCacheForMany(t *testing.T) {
	cache := t.TempDir()
	keys := make(chan string, 4)
	var all sync.WaitGroup
	for range cap(keys) {
		all.Go(func() {
			_, m := newMirror(t, cache)
			keys <- m.Key()
		})
	}
	all.Wait()
	close(keys)
	first := <-keys
	assert.NotEmpty(t, first)
	for key := range keys {
		assert.Equal(t, first, key)
	}
}

func TestRefusals(t *testing.T) {
	server, _ := newMirror(t, t.TempDir())
	for path, want := range map[string]int{
		"/":                       http.StatusNotFound,
		"/hashicorp/pool/nothing": http.StatusNotFound,
		"/hashicorp/pool/%2e%2e/%2e%2e/%2e%2e/etc/passwd": http.StatusNotFound,
		"/other/dists/bookworm/InRelease":                 http.StatusNotFound,
	} {
		reply, err := http.Get(server.URL + path)
		require.NoError(t, err)
		require.NoError(t, reply.Body.Close())
		assert.Equal(t, want, reply.StatusCode, path)
	}
	reply, err := http.Post(server.URL+"/key.asc", "", nil)
	require.NoError(t, err)
	require.NoError(t, reply.Body.Close())
	assert.Equal(t, http.StatusMethodNotAllowed, reply.StatusCode)
}

func TestTheKeyStays(t *testing.T) {
	cache := t.TempDir()
	_, first := newMirror(t, cache)
	_, second := newMirror(t, cache)
	assert.Equal(t, first.Key(), second.Key(), "machines trust it from their first boot on")

	_, other := newMirror(t, t.TempDir())
	assert.NotEqual(t, first.Key(), other.Key())

	info, err := os.Stat(filepath.Join(cache, "signing-key.asc"))
	require.NoError(t, err)
	assert.EqualValues(t, 0o600, info.Mode().Perm())
	keys, err := openpgp.ReadArmoredKeyRing(strings.NewReader(first.Key()))
	require.NoError(t, err)
	assert.Nil(t, keys[0].PrivateKey, "the public key only")
}

func TestMissingTool(t *testing.T) {
	_, err := New(t.Context(), Options{Tools: "../../tools", Binaries: t.TempDir(), Debian: t.TempDir(), Cache: t.TempDir()})
	require.ErrorContains(t, err, "build the tool with `tools/build ")
}

// TestPackages compares with what HashiCorp's own packages hold.
func TestPackages(t *testing.T) {
	server, _ := newMirror(t, t.TempDir())
	index := string(get(t, server.URL+"/hashicorp/dists/bookworm/main/binary-"+runtime.GOARCH+"/Packages"))
	want := map[string]struct {
		files, conffiles, scripts []string
	}{
		"consul": {
			files:     []string{"./usr/bin/consul", "./usr/lib/systemd/system/consul.service", "./etc/consul.d/consul.hcl"},
			conffiles: []string{"/etc/consul.d/consul.env", "/etc/consul.d/consul.hcl"},
			scripts:   []string{"preinst", "postinst", "prerm", "postrm"},
		},
		"consul-template": {files: []string{"./usr/bin/consul-template"}},
		"nomad": {
			files:     []string{"./usr/bin/nomad", "./usr/lib/systemd/system/nomad.service", "./etc/nomad.d/nomad.hcl"},
			conffiles: []string{"/etc/nomad.d/nomad.env", "/etc/nomad.d/nomad.hcl"},
			scripts:   []string{"preinst", "postinst", "postrm"},
		},
		"vault": {
			files:     []string{"./usr/bin/vault", "./usr/lib/systemd/system/vault.service", "./etc/vault.d/vault.hcl"},
			conffiles: []string{"/etc/vault.d/vault.env", "/etc/vault.d/vault.hcl"},
			scripts:   []string{"preinst", "postinst", "postrm"},
		},
	}
	for stanza := range strings.SplitSeq(strings.TrimSpace(index), "\n\n") {
		name := field(stanza, "Package")
		t.Run(name, func(t *testing.T) {
			deb := filepath.Join(t.TempDir(), name+".deb")
			require.NoError(t, os.WriteFile(deb, get(t, server.URL+"/hashicorp/"+field(stanza, "Filename")), 0o600))
			assert.Regexp(t, `^\d+\.\d+\.\d+-1$`, field(stanza, "Version"))
			assert.Equal(t, "openssl", field(stanza, "Depends"))

			contents := dpkgDeb(t, "--contents", deb)
			for _, file := range want[name].files {
				assert.Regexp(t, `(?m)^-rw\S+ root/root .* \Q`+file+`\E$`, contents, "a plain file")
			}
			assert.Regexp(t, `(?m)^-rwxr-xr-x root/root .* \./usr/bin/`+name+`$`, contents)

			control := t.TempDir()
			dpkgDeb(t, "--control", deb, control)
			conffiles, err := os.ReadFile(filepath.Join(control, "conffiles"))
			if want[name].conffiles != nil {
				require.NoError(t, err)
			}
			assert.ElementsMatch(t, want[name].conffiles, strings.Fields(string(conffiles)))
			for _, script := range []string{"preinst", "postinst", "prerm", "postrm"} {
				_, err := os.Stat(filepath.Join(control, script))
				assert.Equal(t, slices.Contains(want[name].scripts, script), err == nil, script)
			}
		})
	}
}

func dpkgDeb(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("dpkg-deb", args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

// gpgv checks as apt does: with gpgv, and a keyring that holds nothing but the key.
func gpgv(t *testing.T, key string, signature, text []byte) {
	t.Helper()
	dir := t.TempDir()
	block, err := armor.Decode(strings.NewReader(key))
	require.NoError(t, err)
	keyring, err := io.ReadAll(block.Body)
	require.NoError(t, err)
	for name, content := range map[string][]byte{"keyring": keyring, "signature": signature, "text": text} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	args := []string{"--homedir", dir, "--keyring", filepath.Join(dir, "keyring"), filepath.Join(dir, "signature")}
	if text != nil {
		args = append(args, filepath.Join(dir, "text"))
	}
	out, err := exec.Command("gpgv", args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func sum(content []byte) string {
	s := sha256.Sum256(content)
	return hex.EncodeToString(s[:])
}

func field(stanza, name string) string {
	for line := range strings.Lines(stanza) {
		if value, ok := strings.CutPrefix(line, name+": "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
