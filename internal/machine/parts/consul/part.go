// Package consul is the machine's Consul agent: a client, unless part consulserver makes it a server.
package consul

import (
	"embed"
	"time"

	"hashistack/internal/agentconfig"
	"hashistack/internal/cloudinit"
	"hashistack/internal/machine"
	"hashistack/internal/machine/parts/access"
	"hashistack/internal/names"
)

//go:embed all:rootfs policies templates
var files embed.FS

// Part is on every machine.
var Part = machine.Part{
	Name: "consul", FS: files, On: on, Member: machine.Consul,
	Certificates: []machine.Certificate{ClientCertificate},
	Tokens:       []machine.Token{access.AgentToken, dnsToken},
}

// ClientCertificate and ServerCertificate are those of agents that are clients and servers.
var (
	ClientCertificate = machine.Certificate{
		Authority: names.PKIConsul, Role: names.PKIClient,
		Names: func(c machine.Cluster) []string { return names.ConsulClientNames(c.Datacenter) },
	}
	ServerCertificate = machine.Certificate{
		Authority: names.PKIConsul, Role: names.PKIServer,
		Names: func(c machine.Cluster) []string { return names.ConsulServerNames(c.Datacenter) },
	}
)

// dnsToken is the token that the agent uses for questions over DNS.
var dnsToken = machine.Token{Name: "dns"}

func on(c machine.Cluster, m machine.Machine) machine.Contents {
	certificate := ClientCertificate
	if m.Has(machine.RoleConsulServer) {
		certificate = ServerCertificate
	}
	// The same command for all three, so that consul-template runs it once when several files change together.
	reload := []string{names.Apply, "consul", "reload"}
	bundle := access.Bundle{
		Name: "consul-certificate", Certificate: certificate,
		Destination: names.ConsulBundle, Owner: "consul", Command: reload,
	}
	return machine.Contents{
		Packages: []cloudinit.Package{{Name: "consul", Version: c.Packages.Consul}},
		Configs: []machine.Config{{Path: names.ConsulDir + "agent.json", Owner: "consul",
			Value: machine.FromAll(func(all machine.Contents) any { return machine.Changed(agent(c, m), all.Consul) })}},
		Templates: []machine.Template{
			bundle.Template(c, m),
			{
				Name: "consul-gossip", FS: files, File: "gossip-consul.ctmpl",
				Data:        access.Secret{Path: names.PlatformData(names.GossipConsul), Field: names.GossipField},
				Destination: names.ConsulDir + "gossip.json", Owner: "consul", Command: reload,
			},
			{
				Name: "consul-tokens", FS: files, File: "consul-tokens.ctmpl",
				Data:        machine.FromAll(func(all machine.Contents) any { return tokensOf(m, all) }),
				Destination: names.ConsulDir + "tokens.json", Owner: "consul", Command: reload,
			},
		},
		Units:       []machine.Unit{{Name: "consul.service"}},
		AgentTokens: []machine.AgentToken{{Setting: "agent", Token: access.AgentToken}, {Setting: "dns", Token: dnsToken}},
	}
}

// tokens is the data of consul-tokens.ctmpl: the agent's tokens, and the services of the machine. They are one file, because
// an agent that knows a service before it has the token for it tries again only at its next full synchronisation, a minute
// or two later. A service that appears together with its token is registered at once.
type tokens struct {
	Tokens   []token
	Services []agentconfig.ConsulService
}

// token is a setting of the agent's, and the path that issues the token in it.
type token struct{ Name, Path string }

func tokensOf(m machine.Machine, all machine.Contents) tokens {
	found := tokens{Services: all.Services}
	for _, t := range all.AgentTokens {
		found.Tokens = append(found.Tokens, token{t.Setting, names.ConsulCreds(t.Token.Role(m.Name))})
	}
	return found
}

func agent(c machine.Cluster, m machine.Machine) agentconfig.Consul {
	const loopback = "127.0.0.1"
	config := agentconfig.Consul{
		Datacenter: c.Datacenter, NodeName: m.Name,
		NodeMeta: map[string]string{"pool": m.Pool},
		DataDir:  "/opt/consul", LogLevel: "info",

		RetryJoin:     m.Join(c.Servers[machine.RoleConsulServer]),
		RetryInterval: agentconfig.Duration(2 * time.Second),

		BindAddr: m.Private.String(), AdvertiseAddr: m.Private.String(), ClientAddr: loopback,
		Addresses: agentconfig.ConsulAddresses{HTTPS: loopback},
		Ports: agentconfig.ConsulPorts{
			DNS: names.ConsulDNSPort, HTTP: -1, HTTPS: names.ConsulPort, GRPC: -1, GRPCTLS: names.ConsulGRPC,
		},

		TLS: agentconfig.ConsulTLS{
			Defaults: agentconfig.ConsulTLSDefaults{
				CAFile: names.CAFile, CertFile: names.ConsulBundle, KeyFile: names.ConsulBundle,
				TLSMinVersion: "TLSv1_2", VerifyOutgoing: true,
			},
			InternalRPC: agentconfig.ConsulTLSInternalRPC{VerifyIncoming: true, VerifyServerHostname: true},
		},
		EnableLocalScriptChecks: true, // of configuration files, such as the check of credentials
		EnableAgentTLSForChecks: true,
		EncryptVerifyIncoming:   true, EncryptVerifyOutgoing: true,

		ACL: agentconfig.ConsulACL{
			Enabled: true, DefaultPolicy: "deny",
			DownPolicy: "extend-cache", // while no server answers, what was allowed stays allowed
			// Tokens come and go with consul-template; one kept in the data directory would outlive its lease.
			EnableTokenPersistence: false,
		},
		Connect:            agentconfig.ConsulEnabled{Enabled: true},
		Performance:        agentconfig.ConsulPerformance{RaftMultiplier: 1}, // Consul's default is for tiny machines
		Telemetry:          agentconfig.ConsulTelemetry{PrometheusRetentionTime: agentconfig.Duration(time.Hour), DisableHostname: true},
		DisableUpdateCheck: true,
	}
	for _, resolver := range c.Resolvers {
		config.Recursors = append(config.Recursors, resolver.String())
	}
	return config
}
