package mirror

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb" // registers the format
	"github.com/goreleaser/nfpm/v2/files"
)

// product is a package of HashiCorp's repository. Description and dependencies are those of the official package; its
// files and scripts ship inside the product's Go module.
type product struct {
	name        string
	description string
	license     string
	recommends  []string
}

var products = []product{
	{
		name: "consul", license: "BSL-1.1",
		description: "Consul is a distributed, highly available, and data center aware solution to connect and configure applications across dynamic, distributed infrastructure.",
	},
	{
		name: "consul-template", license: "MPL-2.0",
		description: "Template rendering, notifier, and supervisor for @hashicorp Consul, Nomad and Vault data.",
	},
	{
		name: "nomad", license: "BUSL-1.1", recommends: []string{"dmidecode"},
		description: "Nomad is an easy-to-use, flexible, and performant workload orchestrator that can deploy a mix of microservice, batch, containerized, and non-containerized applications.",
	},
	{
		name: "vault", license: "BUSL-1.1",
		description: "Vault is a tool for secrets management, encryption as a service, and privileged access management.",
	},
}

// compression is the one that is cheapest for the machine that installs. Unpacking zstd costs no more than copying, and
// there is only a fifth to download, write and check: vault takes 0.9 s of processor time, and 2.8 s without
// compression.
const compression = "zstd"

// module is what `go list -m -json` says of a product's module.
type module struct {
	Version string
	Dir     string // empty until the module is downloaded
}

// build makes the product's package, or finds it in the cache, and returns its path. The package is kept under a key made
// of all that goes into it.
func (p product) build(ctx context.Context, opts Options) (string, error) {
	// The folder holds links into the cache of built tools; a package must hold the file.
	binary, err := filepath.EvalSymlinks(filepath.Join(opts.Binaries, p.name))
	var content string
	if err == nil {
		content, err = fileSum(binary)
	}
	if err != nil {
		return "", fmt.Errorf("%w: build the tool with `tools/build %s`", err, p.name)
	}
	m, err := p.module(ctx, opts, "list", "-m", "-json")
	if err != nil {
		return "", err
	}
	version := strings.TrimPrefix(m.Version, "v")
	info, err := json.Marshal([]any{p.name, p.description, p.license, p.recommends, content, version, compression, runtime.GOARCH, layout})
	if err != nil {
		return "", err
	}
	key := sha256.Sum256(info)
	dir := filepath.Join(opts.Cache, "packages", p.name+"-"+hex.EncodeToString(key[:10]))
	deb := filepath.Join(dir, fmt.Sprintf("%s_%s-1_%s.deb", p.name, version, runtime.GOARCH))
	if _, err := os.Stat(deb); err == nil {
		return deb, nil
	}

	if m.Dir == "" {
		if m, err = p.module(ctx, opts, "mod", "download", "-json"); err != nil {
			return "", err
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // packages are public
		return "", err
	}
	description, err := p.describe(filepath.Join(m.Dir, ".release/linux"), binary, version)
	if err != nil {
		return "", err
	}
	return deb, write(description, deb)
}

// layout is part of the cache key. Raise it when describe puts the package together in another way.
const layout = 2

// describe says what is in the package: the binary, and what the product's makers put in theirs.
func (p product) describe(release, binary, version string) (*nfpm.Info, error) {
	contents, err := officialFiles(filepath.Join(release, "package"))
	if err != nil {
		return nil, err
	}
	contents = append(contents, &files.Content{
		Source: binary, Destination: "/usr/bin/" + p.name, FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: 0o755},
	})
	info := &nfpm.Info{
		Name: p.name, Arch: runtime.GOARCH, Platform: "linux", Version: version, Release: "1",
		Section: "default", Priority: "extra", Maintainer: "HashiCorp", Vendor: "HashiCorp",
		Description: p.description, Homepage: "https://github.com/hashicorp/" + p.name, License: p.license,
		Overridables: nfpm.Overridables{
			Depends:    []string{"openssl"},
			Recommends: p.recommends,
			Contents:   contents,
			Deb:        nfpm.Deb{Compression: compression},
			Scripts: nfpm.Scripts{
				PreInstall:  firstFile(release, "preinst", "preinstall"),
				PostInstall: firstFile(release, "postinst", "postinstall"),
				PreRemove:   firstFile(release, "prerm", "preremove"),
				PostRemove:  firstFile(release, "postrm", "postremove"),
			},
		},
	}
	return nfpm.WithDefaults(info), nil
}

// officialFiles lists the packaging folder, which mirrors /. Files under /etc are configuration: an upgrade keeps the
// administrator's. consul-template has no such folder: its package holds the binary only.
func officialFiles(dir string) (files.Contents, error) {
	var all files.Contents
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) && path == dir {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		content := &files.Content{
			Source: path, Destination: "/" + rel,
			FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: 0o644},
		}
		if strings.HasPrefix(rel, "etc/") {
			content.Type = files.TypeConfigNoReplace
		}
		all = append(all, content)
		return nil
	})
	return all, err
}

func firstFile(dir string, names ...string) string {
	for _, name := range names {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

// write makes the file whole or not at all.
func write(info *nfpm.Info, deb string) error {
	packager, err := nfpm.Get("deb")
	if err != nil {
		return err
	}
	part, err := os.Create(deb + ".part")
	if err != nil {
		return err
	}
	err = packager.Package(info, part)
	if err := errors.Join(err, part.Close()); err != nil {
		return fmt.Errorf("package %s: %w", info.Name, err)
	}
	return os.Rename(part.Name(), deb)
}

// module asks go for the product's module, as the tool's own go.mod pins it.
func (p product) module(ctx context.Context, opts Options, command ...string) (module, error) {
	cmd := exec.CommandContext(ctx, "go", append(command, "github.com/hashicorp/"+p.name)...)
	cmd.Dir = filepath.Join(opts.Tools, p.name)
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return module{}, fmt.Errorf("find the module of %s from %s: %w", p.name, cmd.Dir, err)
	}
	var m module
	if err := json.Unmarshal(out, &m); err != nil {
		return module{}, fmt.Errorf("find the module of %s: %w", p.name, err)
	}
	return m, nil
}

func fileSum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // only read
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
