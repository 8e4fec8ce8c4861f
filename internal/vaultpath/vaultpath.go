// Package vaultpath names what one side of the platform creates in Vault and the other side reads from it: the
// deployment mounts engines and writes roles, secrets and policies under these names, and every machine's
// consul-template asks for them. A name that stood in two places could drift apart and would only fail at boot.
package vaultpath

// Mounts of the intermediate certificate authorities, one per product, so that a policy which lets a machine get
// certificates of one product gives it no names of another's.
const (
	PKIConsul = "pki-consul"
	PKINomad  = "pki-nomad"
	PKIVault  = "pki-vault"
)

// Roles of the certificate authorities. PKIVault has PKIServer alone: nothing presents a client certificate to Vault.
const (
	PKIServer = "server"
	PKIClient = "client"
)

// Platform is the mount of the version 2 key-value engine that holds what the platform itself needs.
const Platform = "platform"

// Secrets of the Platform mount. Each has one field, GossipField: 32 random bytes in base64, as `consul keygen` and
// `nomad operator gossip keyring generate` make them.
const (
	GossipConsul = "gossip/consul"
	GossipNomad  = "gossip/nomad"
	GossipField  = "key"
)

// Mounts of the engines that issue ACL tokens.
const (
	ConsulEngine = "consul"
	NomadEngine  = "nomad"
)

// Roles of the Consul engine; AgentRole names the ones that exist per pool. The token is the field "token".
const (
	ConsulDNS          = "dns"
	ConsulRegistration = "registration"
	ConsulNomadServer  = "nomad-server"
	ConsulNomadClient  = "nomad-client"
)

// AppRole is the mount of the auth method machines log in through. Its roles are named after the pools.
const AppRole = "approle"

// NomadJWT is the mount of the auth method that Nomad's workload identities log in through.
const NomadJWT = "jwt-nomad"

// AgentRole is the Consul engine's role for the agents of a pool's machines: a token of it may register nodes that are
// named after the pool.
func AgentRole(pool string) string { return "agent-" + pool }

// Issue is the path that issues a certificate from a role of one of the certificate authorities.
func Issue(mount, role string) string { return mount + "/issue/" + role }

// ConsulCreds is the path that issues a Consul ACL token of a role.
func ConsulCreds(role string) string { return ConsulEngine + "/creds/" + role }

// PlatformData is the path that reads a secret of the Platform mount; version 2 engines put "data/" between mount and
// name.
func PlatformData(secret string) string { return Platform + "/data/" + secret }
