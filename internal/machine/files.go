package machine

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"hashistack/internal/agentconfig"
	"hashistack/internal/cloudinit"
)

// Static files: one folder per kind of machine, each mirroring the machine's /.
//
//go:embed all:files
var static embed.FS

// Paths of files that more than one configuration names.
const (
	caFile = "/etc/hashistack/ca.pem"

	consulDir    = "/etc/consul.d/hashistack/"
	consulBundle = "/etc/consul.d/tls/consul.pem" // certificate, chain and key
	nomadDir     = "/etc/nomad.d/hashistack/"
	nomadBundle  = "/etc/nomad.d/tls/nomad.pem"
	vaultDir     = "/etc/vault.d/hashistack/"
	vaultBundle  = "/etc/vault.d/tls/vault.pem"
	// vaultIssued is where the bundle for vaultBundle arrives; see install-vault-certificate.
	vaultIssued = "/var/lib/consul-template/vault.pem"

	templateDir   = "/etc/consul-template.d/"
	vaultAgentDir = "/etc/vault-agent.d/"
	tokenFile     = "/run/vault-agent/token"     //nolint:gosec // a path, no credential
	leasesFile    = "/var/lib/hashistack/leases" // see credentials
	applyCommand  = "/usr/local/lib/hashistack/apply"
)

// files are all files of the machine.
func files(c Cluster, m Machine) ([]cloudinit.File, error) {
	files, err := staticFiles(m)
	if err != nil {
		return nil, err
	}
	files = append(files,
		cloudinit.File{Path: caFile, Permissions: "0644", Content: c.CA},
		cloudinit.File{Path: "/etc/hosts", Permissions: "0644", Content: hosts(c, m)},
		cloudinit.File{Path: vaultAgentDir + "role-id", Permissions: "0600", Content: m.RoleID},
		cloudinit.File{Path: vaultAgentDir + "secret-id", Permissions: "0600", Content: m.SecretID},
	)
	// Vault's package makes a key and a certificate that nothing here uses, which costs seconds of a small machine's
	// boot, unless it finds some.
	for _, name := range []string{"tls.crt", "tls.key"} {
		files = append(files, cloudinit.File{Path: "/opt/vault/tls/" + name, Permissions: "0600"})
	}
	if m.has(RoleVault) {
		files = append(files, cloudinit.File{
			Path: vaultBundle, Owner: "vault:vault", Permissions: "0600", Defer: true,
			Content: line(m.BootstrapCertificate) + line(m.BootstrapKey),
		})
	}

	configs := []config{
		{path: consulDir + "agent.json", owner: "consul:consul", value: consul(c, m)},
		{path: vaultAgentDir + "agent.json", value: vaultAgent()},
		{path: templateDir + "config.json", value: consulTemplate(c, m)},
	}
	if m.has(RoleVault) {
		configs = append(configs, config{path: vaultDir + "server.json", owner: "vault:vault", value: vault(c, m)})
	}
	if m.runsNomad() {
		configs = append(configs, config{path: nomadDir + "agent.json", owner: "nomad:nomad", value: nomad(c, m)})
	}
	for _, config := range configs {
		file, err := config.file()
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}

	for _, t := range templates(c, m) {
		content, err := t.render()
		if err != nil {
			return nil, err
		}
		files = append(files, cloudinit.File{Path: t.source(), Permissions: "0600", Content: content})
	}
	return files, nil
}

// config is a configuration to write as JSON, for its owner alone: a Seal may hold credentials.
type config struct {
	path, owner string
	value       any
}

func (c config) file() (cloudinit.File, error) {
	content, err := agentconfig.JSON(c.value)
	if err != nil {
		return cloudinit.File{}, fmt.Errorf("render %s: %w", c.path, err)
	}
	return cloudinit.File{
		Path: c.path, Owner: c.owner, Permissions: "0600", Content: content,
		Defer: c.owner != "", // the owner comes with the package
	}, nil
}

// staticFiles are the files that are the same on all machines of the same roles.
func staticFiles(m Machine) ([]cloudinit.File, error) {
	trees := []string{"base"}
	if m.has(RoleVault) {
		trees = append(trees, "vault")
	}
	if m.runsNomad() {
		trees = append(trees, "nomad")
	}
	if m.has(RoleNomadServer) {
		trees = append(trees, "nomad-server")
		if !m.has(RoleNomadClient) {
			trees = append(trees, "nomad-server-only")
		}
	}
	if m.has(RoleNomadClient) {
		trees = append(trees, "nomad-client")
	}

	var files []cloudinit.File
	for _, tree := range trees {
		root := path.Join("files", tree)
		err := fs.WalkDir(static, root, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := static.ReadFile(name)
			if err != nil {
				return err
			}
			file := cloudinit.File{
				Path: strings.TrimPrefix(name, root), Permissions: "0644", Content: string(content),
			}
			if strings.HasPrefix(file.Path, "/usr/local/lib/hashistack/") {
				file.Permissions = "0755" // scripts; an embedded file has no mode of its own
			}
			files = append(files, file)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read the static files of %s: %w", tree, err)
		}
	}
	return files, nil
}

// line returns s with exactly one newline at its end.
func line(s string) string { return strings.TrimRight(s, "\n") + "\n" }
