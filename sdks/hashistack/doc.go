// What no official provider does for a Nomad platform: hold what a stack is, initialise and unseal Vault, bootstrap the ACL systems of Consul and Nomad, change their gossip keys, make tokens of Consul with secrets chosen beforehand, introduce new machines to Nomad, and have machines join and leave their clusters.
package hashistack
