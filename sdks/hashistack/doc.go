// The once-only acts of a Nomad platform: initialise and unseal Vault, bootstrap the ACLs of Consul and Nomad; and the rotation of their gossip keys.
package hashistack
