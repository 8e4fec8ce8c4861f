package names

// Mounts of the intermediate certificate authorities. There is one per product, so that a policy which lets a machine get
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

// Introduction is the secret of the Platform mount that a machine registers its Nomad client with for the first time. Its field is
// IntroductionField.
func Introduction(machine string) string { return "introductions/" + machine }

// IntroductionField holds the introduction token.
const IntroductionField = "token"

// Mounts of the engines that issue ACL tokens.
const (
	ConsulEngine = "consul"
	NomadEngine  = "nomad"
)

// Deployer is the name of everything that people and pipelines who deploy jobs get: the policies in Vault, Consul and
// Nomad, the roles of the engines that issue tokens with them, and the role of Vault's tokens.
const Deployer = "deployer"

// Operator is the name of the policy in Vault of those who run the platform. In Consul and Nomad they get tokens of the role
// Management, which may do everything there.
const (
	Operator   = "operator"
	Management = "management"
)

// AppRole is the mount of the auth method that machines log in through. Its roles are named after the machines.
const AppRole = "approle"

// NomadJWT is the mount of the auth method that Nomad's workload identities log in through.
const NomadJWT = "jwt-nomad"

// JobClaim is the claim of workload identities that names a job: region, namespace and ID. Vault makes an entity for each.
const JobClaim = "hashistack_job"

// Issue is the path that issues a certificate from a role of one of the certificate authorities.
func Issue(mount, role string) string { return mount + "/issue/" + role }

// ConsulCreds is the path that issues a Consul ACL token of a role. The token is the field "token".
func ConsulCreds(role string) string { return ConsulEngine + "/creds/" + role }

// NomadCreds is the path that issues a Nomad ACL token of a role.
func NomadCreds(role string) string { return NomadEngine + "/creds/" + role }

// PlatformData is the path that reads a secret of the Platform mount. Version 2 engines put "data/" between mount and name.
func PlatformData(secret string) string { return Platform + "/data/" + secret }
