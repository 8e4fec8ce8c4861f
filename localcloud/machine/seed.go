package machine

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"path"
	"time"

	"go.yaml.in/yaml/v3"
)

// keyring is where a machine keeps the key of the cloud's own Debian mirror.
const keyring = "/etc/apt/keyrings/cloud-mirror.asc"

// seedDisk returns, as a tar for the disk's volume, what is on a machine before its first boot: the address and key of
// the mirror, which a provider's image would have built in. A machine without a public address does not reach the
// metadata service, and gets what it says as a NoCloud seed.
func seedDisk(spec Spec, mirror, mirrorKey string) (io.Reader, error) {
	sources := fmt.Sprintf("Types: deb\nURIs: %s/debian\nSuites: bookworm\nComponents: main\nSigned-By: %s\n", mirror, keyring)
	files := []file{
		{"/etc/apt/sources.list.d/debian.sources", 0o644, sources},
		{keyring, 0o644, mirrorKey},
	}
	if !spec.Public.IsValid() {
		metadata, err := yaml.Marshal(map[string]any{
			"instance-id":    fmt.Sprint(spec.ID),
			"local-hostname": spec.Name,
			"public-keys":    spec.SSHKeys,
		})
		if err != nil {
			return nil, err
		}
		const nocloud = "/var/lib/cloud/seed/nocloud/"
		files = append(files,
			file{nocloud + "user-data", 0o600, decoded(spec.UserData)},
			file{nocloud + "meta-data", 0o644, string(metadata)},
			file{"/etc/cloud/cloud.cfg.d/91-no-public-network.cfg", 0o644, "datasource_list: [NoCloud, None]\n"},
		)
	}
	return upper(files)
}

// decoded undoes base64. cloud-init does so with what Hetzner's metadata service answers
// (cloudinit/sources/helpers/hetzner.py), but not with a NoCloud seed. Text that is not base64 is returned as it is.
func decoded(userData string) string {
	if plain, err := base64.StdEncoding.DecodeString(userData); err == nil {
		return string(plain)
	}
	return userData
}

type file struct {
	path    string
	mode    int64
	content string
}

// upper packs files and their folders as the overlay's upper layer. A folder there hides the mode that it has in the
// image, so only folders that everyone may read belong here.
func upper(files []file) (io.Reader, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	now := time.Now()
	made := map[string]bool{}
	var makeDir func(dir string) error
	makeDir = func(dir string) error {
		if dir == "/" || made[dir] {
			return nil
		}
		made[dir] = true
		if err := makeDir(path.Dir(dir)); err != nil {
			return err
		}
		return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "upper" + dir + "/", Mode: 0o755, ModTime: now})
	}
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "upper/", Mode: 0o755, ModTime: now}); err != nil {
		return nil, err
	}
	for _, f := range files {
		if err := makeDir(path.Dir(f.path)); err != nil {
			return nil, err
		}
		header := tar.Header{Typeflag: tar.TypeReg, Name: "upper" + f.path, Mode: f.mode, Size: int64(len(f.content)), ModTime: now}
		if err := w.WriteHeader(&header); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(w, f.content); err != nil {
			return nil, err
		}
	}
	return &out, w.Close()
}
