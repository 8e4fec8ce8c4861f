// Package nomadclient makes the machine's Nomad agent a client, which runs jobs.
package nomadclient

import (
	"embed"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"hashistack/internal/agentconfig"
	"hashistack/internal/cloudinit"
	"hashistack/internal/machine"
	"hashistack/internal/machine/parts/access"
	"hashistack/internal/machine/parts/nomad"
	"hashistack/internal/names"
)

//go:embed all:rootfs policies tasks.nft
var files embed.FS

// Part is on machines with the role nomad-client.
var Part = machine.Part{
	Name: "nomadclient", FS: files, On: on, RunsJobs: true,
	Certificates: []machine.Certificate{nomad.ClientCertificate},
	Tokens:       []machine.Token{nomad.ClientToken},
}

func on(c machine.Cluster, m machine.Machine) machine.Contents {
	return machine.Contents{
		Packages: []cloudinit.Package{
			{Name: "containernetworking-plugins"}, // Nomad's bridge network
			{Name: "busybox"},                     // the userland of tasks in a chroot
		},
		Files: slices.Concat(
			[]cloudinit.File{{Path: "/etc/hashistack/tasks.nft", Permissions: "0644", Content: guard(c)}},
			lookups(m),
			introduced(m)),
		Templates: []machine.Template{{
			Name: "nomad-introduction", Text: introduction,
			Data:        access.Secret{Path: names.PlatformData(names.Introduction(m.Name)), Field: names.IntroductionField},
			Destination: introductionFile, Owner: "root", Command: nomad.Restart(m),
		}},
		Units:    []machine.Unit{{Name: "task-resolver.service", Started: true}, {Name: "tasks-guard.service", Started: true}},
		Services: []agentconfig.ConsulService{nomad.Service(c, m, "nomad-client", "client", nomad.ClientToken)},
		Nomad: []func(*agentconfig.Nomad){func(agent *agentconfig.Nomad) {
			agent.Client = []agentconfig.NomadClient{client(c, m)}
			agent.Plugins = drivers()
			vault := &agent.Vault[0]
			vault.Address, vault.CAFile, vault.JWTAuthBackendPath = names.VaultAddress(), names.CAFile, names.NomadJWT
			agent.Telemetry[0].PublishAllocationMetrics = true
		}},
	}
}

// tasksDir holds what tasks have in their /etc in place of the machine's own.
const tasksDir = "/etc/hashistack/tasks/"

// lookupFiles are those by which programs look up names. The machine's own would not do: its resolver is at a loopback address, which
// a task with a network of its own has for itself, and DHCP writes the file anew, which leaves the tasks that run with the old one.
var lookupFiles = []string{"resolv.conf", "hosts", "nsswitch.conf"}

// lookups has every task look up names in the same way, by the machine's resolver: .consul, and what the machine itself looks up.
func lookups(m machine.Machine) (files []cloudinit.File) {
	content := map[string]string{
		"resolv.conf": "nameserver " + names.TaskResolver + "\n",
		"hosts": "127.0.0.1\t" + names.Localhost + "\n::1\t" + names.Localhost + "\n" +
			m.Private.String() + "\t" + m.Name + "\n",
		"nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
	}
	for _, name := range lookupFiles {
		files = append(files, cloudinit.File{Path: tasksDir + name, Permissions: "0644", Content: content[name]})
	}
	return files
}

// introductionFile is where Nomad looks for it, at its start only.
const introductionFile = nomad.Data + "/client/intro_token.jwt"

// introduction is the token with which the client registers for the first time. Nomad's servers refuse other new clients.
const introduction = `{{ with secret [[ quote .Path ]] }}{{ .Data.data.[[ .Field ]] }}{{ end }}`

// introduced keeps Nomad from starting before the machine is introduced, unless it is a server too: somebody has to be there who
// introduces it.
func introduced(m machine.Machine) []cloudinit.File {
	if m.Has(machine.RoleNomadServer) {
		return nil
	}
	return []cloudinit.File{{
		Path: "/etc/systemd/system/nomad.service.d/50-introduced.conf", Permissions: "0644",
		Content: "[Unit]\nConditionPathExists=" + introductionFile + "\n",
	}}
}

// drivers are the settings of task drivers.
func drivers() []agentconfig.NomadPlugins {
	plugin := func(config agentconfig.NomadPluginConfig) *agentconfig.NomadPlugin {
		return &agentconfig.NomadPlugin{Config: []agentconfig.NomadPluginConfig{config}}
	}
	return []agentconfig.NomadPlugins{
		{RawExec: plugin(agentconfig.NomadPluginConfig{Enabled: new(bool)})},
		{Exec: plugin(agentconfig.NomadPluginConfig{
			// The files of a task's chroot are hard links to the machine's own: with DAC_OVERRIDE, which is among the capabilities
			// that Nomad gives by default, a task rewrites the machine's /bin/sh.
			AllowCaps: &[]string{},
			// Root owns those files, and needs no capability to write them. Other users of the machine read what is theirs: Consul's
			// and Vault's data, and their tokens.
			DeniedHostUIDs: "0-" + strconv.Itoa(lastSystemID),
			// Without 0: Nomad 1.11 takes everybody for a member of group 0 (getGroupsID in drivers/shared/validators).
			DeniedHostGIDs: "1-" + strconv.Itoa(lastSystemID),
		})},
	}
}

// lastSystemID is the last of the users and groups that Debian's packages make (Debian Policy 9.2.2). Tasks run as nobody,
// which is none of them.
const lastSystemID = 999

func client(c machine.Cluster, m machine.Machine) agentconfig.NomadClient {
	// A task waits for Vault, Consul or Nomad as long as it takes. With Nomad's default of twelve attempts, a task that
	// runs would be killed when they are away for a few minutes.
	retry := []agentconfig.NomadRetry{{
		Attempts: 0, Backoff: agentconfig.Duration(250 * time.Millisecond), MaxBackoff: agentconfig.Duration(time.Minute),
	}}
	var servers []string
	for _, peer := range c.Servers[machine.RoleNomadServer] {
		servers = append(servers, peer.Address.String())
	}
	client := agentconfig.NomadClient{
		Enabled: true, NodePool: m.NodePool,
		// Not a machine of theirs; looking for their metadata would hold up every start.
		Options:             []map[string]string{{"fingerprint.denylist": "env_aws,env_azure,env_digitalocean,env_gce"}},
		ServerJoin:          nomad.Join(servers),
		CNIPath:             "/usr/lib/cni", // of Debian's containernetworking-plugins
		BridgeNetworkSubnet: c.BridgeNetwork.String(),
		ChrootEnv:           []map[string]string{chroot()},
		NetworkInterface:    interfaceOf(m.Private),
		Template:            []agentconfig.NomadClientTemplate{{VaultRetry: retry, ConsulRetry: retry, NomadRetry: retry}},
	}
	if len(m.Meta) > 0 {
		client.Meta = []map[string]string{m.Meta}
	}
	return client
}

// interfaceOf is a go-sockaddr template for the name of the interface with an address. go-sockaddr lists the address with the
// length of its network, unless that is the address alone. Allocations are reached there: Nomad by itself would take the
// public interface, where the cloud's firewall is in the way.
func interfaceOf(address netip.Addr) string {
	pattern := strings.ReplaceAll(address.String(), ".", "[.]")
	return fmt.Sprintf(`{{ GetAllInterfaces | include "address" "^%s(/|$)" | attr "name" }}`, pattern)
}

// chroot is what tasks of the exec driver find in their root: Nomad's default would copy half a gigabyte of the
// machine into every allocation. Names are of files, not of the links to them, since Nomad copies links as links. Nomad
// passes over what an architecture does not have.
func chroot() map[string]string {
	env := map[string]string{
		"/usr/bin/busybox":    "/bin/busybox",
		"/usr/bin/dash":       "/bin/sh",
		"/usr/bin/env":        "/usr/bin/env",
		"/etc/group":          "/etc/group",
		"/etc/passwd":         "/etc/passwd",
		"/etc/ssl/certs":      "/etc/ssl/certs",
		"/usr/share/zoneinfo": "/usr/share/zoneinfo",
		names.CAFile:          names.CAFile, // tasks that talk to the platform have to trust it

		"/usr/share/ca-certificates":                       "/usr/share/ca-certificates", // where the links in /etc/ssl/certs lead
		"/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2":   "/lib64/ld-linux-x86-64.so.2",
		"/usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1": "/lib/ld-linux-aarch64.so.1",
	}
	for _, name := range lookupFiles {
		env[tasksDir+name] = "/etc/" + name
	}
	for _, triplet := range []string{"x86_64-linux-gnu", "aarch64-linux-gnu"} {
		for _, library := range []string{"libc.so.6", "libm.so.6", "libresolv.so.2", "libpthread.so.0", "libdl.so.2"} {
			env["/usr/lib/"+triplet+"/"+library] = "/lib/" + triplet + "/" + library
		}
	}
	return env
}
