// Package mirror is the local cloud's package mirror: a repository with the layout of HashiCorp's, with packages of the
// tools this project builds, and a Debian repository with the few packages that machines install. Both are signed.
package mirror

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"hashistack/localcloud/host"
)

// Options say what the mirror is made of.
type Options struct {
	// Tools is the folder with the tools' modules: <Tools>/<name>/go.mod pins the version.
	Tools string
	// Binaries is the folder with the tools' binaries.
	Binaries string
	// Debian is the folder with the Debian packages, from image.Ensure.
	Debian string
	// Cache is the folder for the signing key and built packages.
	Cache string
	// Products limits HashiCorp's repository to some of its packages; nil means all.
	Products []string
}

// Mirror serves the repositories /hashicorp and /debian, and the key they are signed with at /key.asc.
type Mirror struct {
	repositories map[string]*repository // by first path segment
	key          string
	made         time.Time
}

var _ http.Handler = (*Mirror)(nil)

// New builds what is missing and indexes all.
func New(ctx context.Context, opts Options) (*Mirror, error) {
	// Whoever comes second waits, and finds key and packages made.
	release, err := host.Wait(ctx, filepath.Join(opts.Cache, ".lock"))
	if err != nil {
		return nil, err
	}
	defer release()
	s, err := loadSigner(filepath.Join(opts.Cache, "signing-key.asc"))
	if err != nil {
		return nil, err
	}
	key, err := s.public()
	if err != nil {
		return nil, err
	}
	m := &Mirror{repositories: map[string]*repository{}, key: key, made: time.Now().Truncate(time.Second)}

	packages, err := buildAll(ctx, opts)
	if err != nil {
		return nil, err
	}
	if m.repositories["hashicorp"], err = newRepository(ctx, "Artifactory", packages, s, m.made); err != nil {
		return nil, err
	}
	debian, err := filepath.Glob(filepath.Join(opts.Debian, "*.deb"))
	if err != nil {
		return nil, err
	}
	if len(debian) == 0 {
		return nil, fmt.Errorf("there is no Debian package in %q", opts.Debian)
	}
	if m.repositories["debian"], err = newRepository(ctx, "Debian", debian, s, m.made); err != nil {
		return nil, err
	}
	return m, nil
}

func buildAll(ctx context.Context, opts Options) ([]string, error) {
	var wanted []product
	for _, p := range products {
		if opts.Products == nil || slices.Contains(opts.Products, p.name) {
			wanted = append(wanted, p)
		}
	}
	debs := make([]string, len(wanted))
	group, ctx := errgroup.WithContext(ctx)
	for i, p := range wanted {
		group.Go(func() (err error) {
			if debs[i], err = p.build(ctx, opts); err != nil {
				err = fmt.Errorf("package %s: %w", p.name, err)
			}
			return err
		})
	}
	return debs, group.Wait()
}

// Key is the armoured public key of the repositories.
func (m *Mirror) Key() string { return m.key }

// ServeHTTP serves the mirror, to anyone: what it serves is signed.
func (m *Mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.Error(w, "the mirror can only be read", http.StatusMethodNotAllowed)
		return
	}
	if r.URL.Path == "/key.asc" {
		w.Header().Set("Content-Type", "application/pgp-keys")
		http.ServeContent(w, r, "", m.made, strings.NewReader(m.key))
		return
	}
	name, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	repo, ok := m.repositories[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	if content, ok := repo.metadata[path]; ok {
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", m.made, bytes.NewReader(content))
		return
	}
	if file, ok := repo.pool[path]; ok { // by name, so that no path from outside reaches the file system
		http.ServeFile(w, r, file)
		return
	}
	http.NotFound(w, r)
}
