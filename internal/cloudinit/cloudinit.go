// Package cloudinit builds cloud-init's #cloud-config: typed, so that a misspelt key does not compile, and measured, so
// that what the cloud would refuse never leaves the program.
//
// Keys are those of cloud-init 22.4, the version of Debian 12: https://cloudinit.readthedocs.io/en/22.4.2/topics/modules.html
package cloudinit

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/klauspost/compress/gzip"
	"go.yaml.in/yaml/v3"
)

// Limit is how many bytes of user-data Hetzner accepts (https://docs.hetzner.cloud/reference/cloud#servers-create-a-server).
const Limit = 32 * 1024

const header = "#cloud-config\n"

// Config is a #cloud-config. Its fields are in the order in which cloud-init acts on them.
type Config struct {
	Hostname         string     `yaml:"hostname,omitempty"`
	PreserveHostname *bool      `yaml:"preserve_hostname,omitempty"`
	ManageEtcHosts   *bool      `yaml:"manage_etc_hosts,omitempty"`
	BootCommands     [][]string `yaml:"bootcmd,omitempty"` // on every boot, before everything else
	WriteFiles       []File     `yaml:"write_files,omitempty"`
	Apt              *Apt       `yaml:"apt,omitempty"`
	PackageUpdate    bool       `yaml:"package_update,omitempty"`
	Packages         []Package  `yaml:"packages,omitempty"`
	RunCommands      [][]string `yaml:"runcmd,omitempty"` // on the first boot, after everything else
}

// File is a file to write on the first boot.
type File struct {
	Path string `yaml:"path"`
	// Owner is "user:group"; empty means root:root. An owner that a package creates needs Defer.
	Owner       string `yaml:"owner,omitempty"`
	Permissions string `yaml:"permissions"` // octal, four digits: "0644"
	// Defer writes the file after the packages are installed instead of before.
	Defer   bool   `yaml:"defer,omitempty"`
	Content string `yaml:"content"`
}

// Apt configures package sources.
type Apt struct {
	Sources map[string]AptSource `yaml:"sources,omitempty"` // by file name: "hashicorp.list"
}

// AptSource is one package source.
type AptSource struct {
	Source string `yaml:"source"` // a line of sources.list; cloud-init replaces $KEY_FILE by where it stored Key
	Key    string `yaml:"key,omitempty"`
}

// Package is a Debian package, at any version if Version is empty.
type Package struct {
	Name    string
	Version string
}

// MarshalYAML writes cloud-init's two forms: a name, or a list of name and version.
func (p Package) MarshalYAML() (any, error) {
	if p.Version == "" {
		return p.Name, nil
	}
	return []string{p.Name, p.Version}, nil
}

// YAML is the #cloud-config as cloud-init acts on it.
func (c Config) YAML() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(header)
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	encoder.CompactSeqIndent()
	if err := encoder.Encode(c); err != nil {
		return nil, fmt.Errorf("encode #cloud-config: %w", err)
	}
	if err := encoder.Close(); err != nil {
		return nil, fmt.Errorf("encode #cloud-config: %w", err)
	}
	return b.Bytes(), nil
}

// Render returns the user-data: the YAML, compressed, in base64, which cloud-init undoes on Hetzner's machines
// (cloudinit/sources/DataSourceHetzner.py: "a user can provide base64 encoded (possibly gzipped) data"). It fails if that
// exceeds Limit.
//
// The same configuration gives the same bytes, whoever renders it: other bytes are another machine. Go's own compress/gzip promises
// that for no two versions of Go, and an operator with another one would replace all machines. This module is pinned in go.mod.
func (c Config) Render() (string, error) {
	text, err := c.YAML()
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	encoder := base64.NewEncoder(base64.StdEncoding, &b)
	zip, err := gzip.NewWriterLevel(encoder, gzip.BestCompression)
	if err != nil {
		return "", fmt.Errorf("compress #cloud-config: %w", err)
	}
	if _, err := zip.Write(text); err != nil {
		return "", fmt.Errorf("compress #cloud-config: %w", err)
	}
	if err := errors.Join(zip.Close(), encoder.Close()); err != nil {
		return "", fmt.Errorf("compress #cloud-config: %w", err)
	}
	if b.Len() > Limit {
		return "", fmt.Errorf("user-data of %d bytes exceeds the %d bytes that Hetzner accepts: give the machine fewer roles", b.Len(), Limit)
	}
	return b.String(), nil
}
