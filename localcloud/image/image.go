// Package image builds what every machine of the local cloud starts from: a stock Debian 12 with cloud-init. mmdebstrap
// makes it from the host's own apt sources, so that no image registry is needed.
package image

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"

	dockerimage "github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"hashistack/localcloud/host"
)

// name is the Docker image's, and part of every cache key.
const name = "hashistack-debian-12"

var (
	// files mirrors the root of a machine: what is here lies over Debian's own.
	//
	//go:embed all:files
	files embed.FS
	//go:embed foothold/machine-init
	machineInit []byte
)

// Image is what machines are made from.
type Image struct {
	// Ref is the Docker image. It is only a foothold, which starts machine-init; the system comes from the trees below.
	Ref string
	// Root is the folder with the Debian tree. All machines share it, read-only.
	Root string
	// Files is the folder with what lies over Root.
	Files string
	// Packages is the folder of .deb files that machines may install.
	Packages string
}

// Options say where and how the image is built.
type Options struct {
	// Cache is the folder that built images are kept in.
	Cache string
	// Progress receives what the build says; a first build takes about two minutes.
	Progress io.Writer
}

// Ensure builds the image, unless one from the same inputs exists; to find that out takes milliseconds. The inputs are
// the lists and files of this package: a newer Debian package in the archive alone does not rebuild it.
func Ensure(ctx context.Context, docker *client.Client, opts Options) (Image, error) {
	if opts.Progress == nil {
		opts.Progress = io.Discard
	}
	cache, err := filepath.Abs(opts.Cache) // Docker mounts from it
	if err != nil {
		return Image{}, err
	}
	opts.Cache = cache
	debian := filepath.Join(opts.Cache, debianKey())
	own := filepath.Join(opts.Cache, filesKey())
	img := Image{
		Ref:      fmt.Sprintf("%s:%s", name, foothold().key),
		Root:     filepath.Join(debian, "root"),
		Files:    own,
		Packages: filepath.Join(debian, "packages"),
	}

	release, err := host.Wait(ctx, filepath.Join(opts.Cache, ".lock")) // two builds at once would each take twice as long
	if err != nil {
		return Image{}, err
	}
	defer release()

	if err := once(debian, func(dir string) error { return bootstrap(ctx, dir, opts.Progress) }); err != nil {
		return Image{}, fmt.Errorf("build the Debian tree: %w", err)
	}
	if err := once(own, layFiles); err != nil {
		return Image{}, fmt.Errorf("lay out the image's own files: %w", err)
	}
	if err := importFoothold(ctx, docker, img.Ref); err != nil {
		return Image{}, fmt.Errorf("import %s into Docker: %w", img.Ref, err)
	}
	return img, nil
}

// once makes dir with build, whole or not at all. An interrupted build is done again.
func once(dir string, build func(dir string) error) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	part := dir + ".part"
	if err := removeTree(part); err != nil {
		return err
	}
	if err := os.MkdirAll(part, 0o755); err != nil { //nolint:gosec // the root of a machine is readable by its users
		return err
	}
	if err := build(part); err != nil {
		return errors.Join(err, removeTree(part))
	}
	return os.Rename(part, dir)
}

// layFiles writes the embedded files and the unit masks to dir. Modes do not survive embedding: all is plain and
// readable by everyone.
func layFiles(dir string) error {
	tree, err := fs.Sub(files, "files")
	if err != nil {
		return err
	}
	if err := os.CopyFS(dir, tree); err != nil {
		return err
	}
	units := filepath.Join(dir, "etc/systemd/system")
	if err := os.MkdirAll(units, 0o755); err != nil { //nolint:gosec // see once
		return err
	}
	for _, unit := range maskedUnits {
		if err := os.Symlink("/dev/null", filepath.Join(units, unit)); err != nil {
			return err
		}
	}
	if err := os.Symlink("/lib/systemd/system/multi-user.target", filepath.Join(units, "default.target")); err != nil {
		return err
	}
	// CopyFS takes the modes of the embedded files, which are read-only for everyone.
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		mode := fs.FileMode(0o644)
		if d.IsDir() {
			mode = 0o755
		}
		return os.Chmod(path, mode) //nolint:gosec // see once
	})
}

type footholdTar struct {
	content []byte
	key     string
}

// foothold is the content of the Docker image: machine-init, and links into the Debian tree that is mounted at /image,
// so that machine-init finds a shell. The key is short because people see it in `docker ps`.
func foothold() footholdTar {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	headers := []tar.Header{{Name: "machine-init", Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(machineInit))}}
	for _, dir := range []string{"bin", "sbin", "lib", "lib64", "usr"} {
		headers = append(headers, tar.Header{Name: dir, Typeflag: tar.TypeSymlink, Linkname: path.Join("image", dir), Mode: 0o777})
	}
	for _, h := range headers {
		if err := w.WriteHeader(&h); err != nil {
			panic(err) // a buffer does not fail and the headers are constant
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write(machineInit); err != nil {
				panic(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	sum := sha256.Sum256(buf.Bytes())
	return footholdTar{content: buf.Bytes(), key: hex.EncodeToString(sum[:6])}
}

func importFoothold(ctx context.Context, docker *client.Client, ref string) error {
	if _, err := docker.ImageInspect(ctx, ref); err == nil {
		return nil
	}
	out, err := docker.ImageImport(ctx, dockerimage.ImportSource{Source: bytes.NewReader(foothold().content), SourceName: "-"}, ref,
		dockerimage.ImportOptions{Changes: []string{`CMD ["/machine-init"]`, "ENV container=docker LANG=C.UTF-8"}})
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, out) // the import is done when its progress ends
	return errors.Join(err, out.Close())
}

func filesKey() string {
	var inputs bytes.Buffer
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := files.ReadFile(path)
		fmt.Fprintf(&inputs, "%s %d\n%s", path, len(content), content)
		return err
	})
	if err != nil {
		panic(err) // embedded files can be read
	}
	return key("files", inputs.String(), maskedUnits)
}

func debianKey() string {
	return key("debian", suite, runtime.GOARCH, basePackages, mirrorPackages, mmdebstrapArgs)
}

func key(name string, inputs ...any) string {
	sum := sha256.Sum256(fmt.Append(nil, inputs...))
	return name + "-" + hex.EncodeToString(sum[:10])
}
