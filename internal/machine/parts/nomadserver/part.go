// Package nomadserver makes the machine's Nomad agent a server.
package nomadserver

import (
	"embed"
	"time"

	"hashistack/internal/agentconfig"
	"hashistack/internal/machine"
	"hashistack/internal/machine/parts/access"
	"hashistack/internal/machine/parts/nomad"
	"hashistack/internal/names"
)

//go:embed all:rootfs policies templates
var files embed.FS

// Part is on machines with the role nomad-server.
var Part = machine.Part{
	Name: "nomadserver", FS: files, On: on,
	Certificates: []machine.Certificate{nomad.ServerCertificate},
	Tokens:       []machine.Token{nomad.ServerToken},
	APIs:         []machine.API{{Name: "Nomad API", Port: names.NomadPort}},
}

// introduction is how long a new client may take to register after it was introduced. Nomad's half an hour would be too short for
// a machine that an interrupted update left booting.
const introduction = agentconfig.Duration(24 * time.Hour)

func on(c machine.Cluster, m machine.Machine) machine.Contents {
	return machine.Contents{
		Templates: []machine.Template{{
			Name: "nomad-gossip", FS: files, File: "gossip-nomad.ctmpl",
			Data:        access.Secret{Path: names.PlatformData(names.GossipNomad), Field: names.GossipField},
			Destination: names.NomadDir + "gossip.json", Owner: nomad.Owner(m), Command: nomad.Reload(),
		}},
		Services: []agentconfig.ConsulService{nomad.Service(c, m, "nomad", "server", nomad.ServerToken)},
		Nomad: []func(*agentconfig.Nomad){func(agent *agentconfig.Nomad) {
			agent.Addresses[0].Serf, agent.Advertise[0].Serf = m.Private.String(), m.Private.String()
			servers := c.Servers[machine.RoleNomadServer]
			agent.Server = []agentconfig.NomadServer{{
				Enabled: true, BootstrapExpect: len(servers), ServerJoin: nomad.Join(m.Join(servers)),
				// A client certificate alone would let root on a client register nodes of other names, in other pools, whose jobs and
				// their identities it then gets.
				ClientIntroduction: []agentconfig.NomadClientIntroduction{{
					Enforcement: "strict", DefaultIdentityTTL: introduction, MaxIdentityTTL: introduction,
				}},
			}}
			agent.UI = []agentconfig.NomadUI{{Enabled: true}}
			// Vault's Nomad engine opens a connection for each token that it issues or revokes, and keeps it open for a minute and
			// a half. Nomad's own limit of 100 is too low for a token a second.
			agent.Limits = []agentconfig.NomadLimits{{HTTPMaxConnsPerClient: 1000}}
		}},
	}
}
