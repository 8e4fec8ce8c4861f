package names

// PlatformServices are the services in Consul that the platform registers itself. No job may register them.
func PlatformServices() []string {
	return []string{"consul", "credentials", "nomad", "nomad-client", "vault", "vault-audit"}
}

// NomadRestartLock is the prefix in Consul's key-value store under which Nomad's servers hold the lock that makes them
// restart one after the other.
const NomadRestartLock = "hashistack/nomad-restart"
