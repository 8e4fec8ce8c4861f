// Package nomad is the machine's Nomad agent. Parts nomadserver and nomadclient make it a server, a client, or both.
package nomad

import (
	"embed"
	"fmt"
	"time"

	"hashistack/internal/agentconfig"
	"hashistack/internal/cloudinit"
	"hashistack/internal/machine"
	"hashistack/internal/machine/parts/access"
	"hashistack/internal/names"
)

//go:embed all:rootfs
var files embed.FS

// Part is on machines with a Nomad role.
var Part = machine.Part{Name: "nomad", FS: files, On: on, Member: machine.Nomad}

// What agents have of each kind. An agent that is both has the server's: it serves the client as well.
var (
	ClientCertificate = machine.Certificate{
		Authority: names.PKINomad, Role: names.PKIClient,
		Names: func(c machine.Cluster) []string { return names.NomadClientNames(c.Region) },
	}
	ServerCertificate = machine.Certificate{
		Authority: names.PKINomad, Role: names.PKIServer,
		Names: func(c machine.Cluster) []string { return names.NomadServerNames(c.Region) },
	}
	ClientToken = machine.Token{Name: "nomad-client"}
	ServerToken = machine.Token{Name: "nomad-server"}
)

// Reload makes Nomad read its certificate and gossip key again.
func Reload() []string { return []string{names.Apply, "nomad", "reload"} }

// Restart makes Nomad read what it reads at its start only, its Consul token for one. Allocations go on running meanwhile; of
// servers, most must.
func Restart(m machine.Machine) []string {
	if m.Has(machine.RoleNomadServer) {
		return []string{names.Apply, "nomad", "restart-in-turn"}
	}
	return []string{names.Apply, "nomad", "restart"}
}

// Data is where Nomad keeps what it knows, and allocations.
const Data = "/opt/nomad/data"

// Owner is the user that Nomad runs as. Clients have to be root; see part nomaduser for the others.
func Owner(m machine.Machine) string {
	if m.Has(machine.RoleNomadClient) {
		return "root"
	}
	return "nomad"
}

// certificate is the one that the machine's agent presents.
func certificate(m machine.Machine) machine.Certificate {
	if m.Has(machine.RoleNomadServer) {
		return ServerCertificate
	}
	return ClientCertificate
}

func on(c machine.Cluster, m machine.Machine) machine.Contents {
	token := ClientToken
	if m.Has(machine.RoleNomadServer) {
		token = ServerToken
	}
	bundle := access.Bundle{
		Name: "nomad-certificate", Certificate: certificate(m),
		Destination: names.NomadBundle, Owner: Owner(m), Command: Reload(),
	}
	return machine.Contents{
		Packages: []cloudinit.Package{{Name: "nomad", Version: c.Packages.Nomad}},
		Configs: []machine.Config{{Path: names.NomadDir + "agent.json", Owner: "nomad",
			Value: machine.FromAll(func(all machine.Contents) any { return machine.Changed(agent(c, m), all.Nomad) })}},
		Templates: []machine.Template{
			bundle.Template(c, m),
			{
				Name: "nomad-consul", Text: consulToken,
				Data:        access.Secret{Path: names.ConsulCreds(token.Role(m.Name))},
				Destination: names.NomadDir + "consul.json", Owner: Owner(m), Command: Restart(m),
			},
		},
		Units: []machine.Unit{{Name: "nomad.service"}},
	}
}

// consulToken is the part of the agent's configuration that holds its Consul token.
const consulToken = `{{ with secret [[ quote .Path ]] -}}
{"consul": [{"token": {{ .Data.token | toJSON }}}]}
{{- end }}
`

func agent(c machine.Cluster, m machine.Machine) agentconfig.Nomad {
	private := m.Private.String()
	return agentconfig.Nomad{
		Region: c.Region, Datacenter: c.Datacenter, Name: m.Name,
		DataDir: Data, LogLevel: "info",
		BindAddr:           machine.AnyAddress,
		DisableUpdateCheck: true,
		Addresses:          []agentconfig.NomadAddresses{{HTTP: machine.AnyAddress, RPC: private}},
		Advertise:          []agentconfig.NomadAddresses{{HTTP: private, RPC: private}},
		ACL:                []agentconfig.NomadACL{{Enabled: true}},
		TLS: []agentconfig.NomadTLS{{
			// Agents show each other certificates. The API asks none of its clients: Vault and Consul read the keys of
			// workload identities there, and people have browsers.
			HTTP: true, RPC: true,
			CAFile: names.CAFile, CertFile: names.NomadBundle, KeyFile: names.NomadBundle,
			VerifyServerHostname: true, TLSMinVersion: "tls12",
		}},
		Consul: []agentconfig.NomadConsul{{
			// Consul's agent announces it: the check that Nomad registers for itself does not verify certificates.
			AutoAdvertise: new(bool),
			Address:       names.Host(names.Localhost, names.ConsulPort), SSL: true, CAFile: names.CAFile,
			GRPCAddress: names.Host(names.Localhost, names.ConsulGRPC), GRPCCAFile: names.CAFile,
			ServiceIdentity: identity("consul.io"), TaskIdentity: identity("consul.io"),
		}},
		Vault: []agentconfig.NomadVault{{Enabled: true, DefaultIdentity: vaultIdentity()}},
		Telemetry: []agentconfig.NomadTelemetry{{
			PrometheusMetrics: true, PublishNodeMetrics: true,
			DisableHostname: true, CollectionInterval: agentconfig.Duration(10 * time.Second),
		}},
	}
}

func identity(audience string) []agentconfig.NomadWorkloadIdentity {
	return []agentconfig.NomadWorkloadIdentity{{Audience: []string{audience}, TTL: agentconfig.Duration(time.Hour)}}
}

// vaultIdentity is the identity that tasks log in to Vault with. Its extra claim names the job uniquely: IDs of jobs are unique
// in their namespace only.
func vaultIdentity() []agentconfig.NomadWorkloadIdentity {
	identities := identity("vault.io")
	identities[0].ExtraClaims = []map[string]string{{names.JobClaim: "${job.region}:${job.namespace}:${job.id}"}}
	return identities
}

// Join says which servers to join.
func Join(addresses []string) []agentconfig.NomadServerJoin {
	return []agentconfig.NomadServerJoin{{RetryJoin: addresses, RetryInterval: agentconfig.Duration(2 * time.Second)}}
}

// Service announces the agent through Consul's: Nomad itself would register a check of its API that does not verify the
// certificate. It is registered with a token of Nomad's own.
func Service(c machine.Cluster, m machine.Machine, name, kind string, token machine.Token) agentconfig.ConsulService {
	return agentconfig.ConsulService{
		Name: name, ID: name, Address: m.Private.String(), Port: names.NomadPort,
		Token: access.TokenInJSON(token, m),
		Checks: []agentconfig.ConsulCheck{{
			ID: name + "-health", Name: "Nomad's " + kind + " is healthy",
			HTTP:          fmt.Sprintf("%s/v1/agent/health?type=%s", names.HTTPS("127.0.0.1", names.NomadPort), kind),
			TLSServerName: certificate(m).Names(c)[0],
			Interval:      agentconfig.Duration(5 * time.Second),
			Timeout:       agentconfig.Duration(3 * time.Second),
		}},
	}
}
