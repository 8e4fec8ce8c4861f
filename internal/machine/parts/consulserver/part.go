// Package consulserver makes the machine's Consul agent a server.
package consulserver

import (
	"embed"
	"time"

	"hashistack/internal/agentconfig"
	"hashistack/internal/machine"
	"hashistack/internal/machine/parts/consul"
	"hashistack/internal/names"
)

//go:embed policies
var files embed.FS

// Part is on machines with the role consul-server.
var Part = machine.Part{
	Name: "consulserver", FS: files, On: on,
	Certificates: []machine.Certificate{consul.ServerCertificate},
	APIs:         []machine.API{{Name: "Consul API", Port: names.ConsulPort}},
}

func on(c machine.Cluster, _ machine.Machine) machine.Contents {
	return machine.Contents{Consul: []func(*agentconfig.Consul){func(agent *agentconfig.Consul) {
		agent.Server = true
		agent.BootstrapExpect = len(c.Servers[machine.RoleConsulServer])
		agent.UI.Enabled = true
		agent.Addresses.HTTPS = machine.AnyAddress
		agent.Autopilot = &agentconfig.ConsulAutopilot{
			CleanupDeadServers:      true, // the server that a replaced machine had
			LastContactThreshold:    agentconfig.Duration(time.Second),
			ServerStabilizationTime: agentconfig.Duration(10 * time.Second),
		}
	}}}
}
