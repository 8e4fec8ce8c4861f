package names

// NomadRestartLock is the prefix in Consul's key-value store under which Nomad's servers hold the lock that makes them
// restart one after the other.
const NomadRestartLock = "hashistack/nomad-restart"
