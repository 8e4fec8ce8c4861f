package mirror

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// suite is the Debian release that the packages are for.
const suite = "bookworm"

// repository is an apt repository with one suite, one component and one architecture.
type repository struct {
	// metadata holds what is below dists/, by path.
	metadata map[string][]byte
	// pool holds the packages: path in the repository → file.
	pool map[string]string
}

// newRepository indexes and signs. The pool has the layout of HashiCorp's repository: pool/<architecture>/main/<file>.
func newRepository(ctx context.Context, origin string, debs []string, s signer, now time.Time) (*repository, error) {
	r := &repository{metadata: map[string][]byte{}, pool: map[string]string{}}
	entries := make([]string, len(debs))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.NumCPU())
	for i, deb := range debs {
		path := "pool/" + runtime.GOARCH + "/main/" + filepath.Base(deb)
		r.pool[path] = deb
		group.Go(func() (err error) {
			entries[i], err = indexEntry(ctx, deb, path)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("index the packages of %s: %w", origin, err)
	}

	index := []byte(strings.Join(entries, "\n"))
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write(index); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	packages := map[string][]byte{
		"main/binary-" + runtime.GOARCH + "/Packages":    index,
		"main/binary-" + runtime.GOARCH + "/Packages.gz": zipped.Bytes(),
	}
	release := releaseFile(origin, packages, now)
	inline, err := s.inline(release)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", origin, err)
	}
	detached, err := s.detached(release)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", origin, err)
	}
	dist := "dists/" + suite + "/"
	for path, content := range packages {
		r.metadata[dist+path] = content
	}
	r.metadata[dist+"Release"] = release
	r.metadata[dist+"Release.gpg"] = detached
	r.metadata[dist+"InRelease"] = inline
	return r, nil
}

// releaseFile lists the indexes with their sums. SHA256 only: apt computes every sum that is given, over every byte.
func releaseFile(origin string, indexes map[string][]byte, now time.Time) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "Origin: %[1]s\nLabel: %[1]s\nSuite: %[2]s\nCodename: %[2]s\nDate: %[3]s\nArchitectures: %[4]s\nComponents: main\nSHA256:\n",
		origin, suite, now.UTC().Format(time.RFC1123), runtime.GOARCH)
	for _, path := range slices.Sorted(maps.Keys(indexes)) {
		sum := sha256.Sum256(indexes[path])
		fmt.Fprintf(&out, " %s %d %s\n", hex.EncodeToString(sum[:]), len(indexes[path]), path)
	}
	return out.Bytes()
}

// indexEntry is the package's stanza in Packages: its control file, and where and how large it is.
func indexEntry(ctx context.Context, deb, path string) (string, error) {
	control, err := exec.CommandContext(ctx, "dpkg-deb", "--field", deb).Output()
	if errors.Is(err, exec.ErrNotFound) {
		return "", errors.New("dpkg-deb is not installed: run `apt-get install dpkg`")
	}
	if err != nil {
		return "", fmt.Errorf("dpkg-deb --field %s: %w", deb, err)
	}
	info, err := os.Stat(deb)
	if err != nil {
		return "", err
	}
	sum, err := fileSum(deb)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%sFilename: %s\nSize: %d\nSHA256: %s\n", control, path, info.Size(), sum), nil
}
