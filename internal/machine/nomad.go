package machine

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"hashistack/internal/agentconfig"
	"hashistack/internal/vaultpath"
)

func nomad(c Cluster, m Machine) agentconfig.Nomad {
	client, server := m.has(RoleNomadClient), m.has(RoleNomadServer)
	private := m.Private.String()
	bind := agentconfig.NomadAddresses{HTTP: everywhere, RPC: private}
	advertise := agentconfig.NomadAddresses{HTTP: private, RPC: private}
	if server {
		bind.Serf, advertise.Serf = private, private
	}

	config := agentconfig.Nomad{
		Region: c.Region, Datacenter: c.Datacenter, Name: m.Name,
		DataDir: "/opt/nomad/data", LogLevel: "info",
		BindAddr:           everywhere,
		DisableUpdateCheck: true,
		Addresses:          []agentconfig.NomadAddresses{bind},
		Advertise:          []agentconfig.NomadAddresses{advertise},
		ACL:                []agentconfig.NomadACL{{Enabled: true}},
		TLS: []agentconfig.NomadTLS{{
			// Agents show each other certificates. The API asks none of its clients: Vault and Consul read the keys of
			// workload identities there, and people have browsers.
			HTTP: true, RPC: true,
			CAFile: caFile, CertFile: nomadBundle, KeyFile: nomadBundle,
			VerifyServerHostname: true, TLSMinVersion: "tls12",
		}},
		Consul: []agentconfig.NomadConsul{{
			// Consul's agent announces it: the check that Nomad registers for itself does not verify certificates.
			AutoAdvertise: new(bool),
			Address:       "localhost:8501", SSL: true, CAFile: caFile,
			GRPCAddress: "localhost:8503", GRPCCAFile: caFile,
			ServiceIdentity: identity("consul.io"), TaskIdentity: identity("consul.io"),
		}},
		Vault: []agentconfig.NomadVault{{Enabled: true, DefaultIdentity: identity("vault.io")}},
		Telemetry: []agentconfig.NomadTelemetry{{
			PrometheusMetrics: true, PublishAllocationMetrics: client, PublishNodeMetrics: true,
			DisableHostname: true, CollectionInterval: agentconfig.Duration(10 * time.Second),
		}},
	}
	if server {
		config.Server = []agentconfig.NomadServer{{
			Enabled: true, BootstrapExpect: len(c.NomadServers), ServerJoin: join(others(c.NomadServers, m)),
		}}
		config.UI = []agentconfig.NomadUI{{Enabled: true}}
		// Vault's Nomad engine opens a connection for each token that it issues or revokes, and lets it idle for a minute and a
		// half: with Nomad's own limit a token a second is too many.
		config.Limits = []agentconfig.NomadLimits{{HTTPMaxConnsPerClient: 1000}}
	}
	if client {
		config.Client = []agentconfig.NomadClient{nomadClient(c, m)}
		config.Plugins = []agentconfig.NomadPlugins{{
			RawExec: agentconfig.NomadPlugin{Config: []agentconfig.NomadPluginConfig{{Enabled: false}}},
		}}
		v := &config.Vault[0]
		v.Address, v.CAFile, v.JWTAuthBackendPath = vaultAddress, caFile, vaultpath.NomadJWT
	}
	return config
}

func nomadClient(c Cluster, m Machine) agentconfig.NomadClient {
	// A task waits for Vault, Consul or Nomad as long as it takes. With Nomad's default of twelve attempts, a task that
	// runs would be killed when they are away for a few minutes.
	retry := []agentconfig.NomadRetry{{
		Attempts: 0, Backoff: agentconfig.Duration(250 * time.Millisecond), MaxBackoff: agentconfig.Duration(time.Minute),
	}}
	client := agentconfig.NomadClient{
		Enabled: true, NodePool: m.NodePool,
		// Not a machine of theirs; looking for their metadata would hold up every start.
		Options:             []map[string]string{{"fingerprint.denylist": "env_aws,env_azure,env_digitalocean,env_gce"}},
		ServerJoin:          join(addresses(c.NomadServers)),
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

// interfaceOf is a go-sockaddr template for the name of the interface with an address, which comes with the length of its
// network unless that is the address alone. Allocations are reached there: on the public one the cloud's firewall is in
// the way, and that is where Nomad would look by itself.
func interfaceOf(address netip.Addr) string {
	pattern := strings.ReplaceAll(address.String(), ".", "[.]")
	return fmt.Sprintf(`{{ GetAllInterfaces | include "address" "^%s(/|$)" | attr "name" }}`, pattern)
}

// chroot is what tasks of the exec driver find in their root: Nomad's default would copy half a gigabyte of the
// machine into every allocation. Names are of files, not of the links to them, since Nomad copies links as links; what
// is missing on an architecture it passes over.
func chroot() map[string]string {
	env := map[string]string{
		"/usr/bin/busybox":    "/bin/busybox",
		"/usr/bin/dash":       "/bin/sh",
		"/usr/bin/env":        "/usr/bin/env",
		"/etc/group":          "/etc/group",
		"/etc/nsswitch.conf":  "/etc/nsswitch.conf",
		"/etc/passwd":         "/etc/passwd",
		"/etc/ssl/certs":      "/etc/ssl/certs",
		"/usr/share/zoneinfo": "/usr/share/zoneinfo",
		caFile:                caFile, // whoever talks to the platform has to trust it

		"/usr/share/ca-certificates":                       "/usr/share/ca-certificates", // where the links in /etc/ssl/certs lead
		"/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2":   "/lib64/ld-linux-x86-64.so.2",
		"/usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1": "/lib/ld-linux-aarch64.so.1",
	}
	for _, triplet := range []string{"x86_64-linux-gnu", "aarch64-linux-gnu"} {
		for _, library := range []string{"libc.so.6", "libm.so.6", "libresolv.so.2", "libpthread.so.0", "libdl.so.2"} {
			env["/usr/lib/"+triplet+"/"+library] = "/lib/" + triplet + "/" + library
		}
	}
	return env
}

func identity(audience string) []agentconfig.NomadWorkloadIdentity {
	return []agentconfig.NomadWorkloadIdentity{{Audience: []string{audience}, TTL: agentconfig.Duration(time.Hour)}}
}

func join(addresses []string) []agentconfig.NomadServerJoin {
	return []agentconfig.NomadServerJoin{{RetryJoin: addresses, RetryInterval: agentconfig.Duration(2 * time.Second)}}
}

func addresses(peers []Peer) []string {
	addresses := make([]string, len(peers))
	for i, peer := range peers {
		addresses[i] = peer.Address.String()
	}
	return addresses
}
