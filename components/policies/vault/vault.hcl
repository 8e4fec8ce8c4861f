# What a machine with the role vault may do, besides machine.hcl.

# The certificate of Vault's own listener.
path "pki-vault/issue/server" {
  capabilities = ["create", "update"]
}

# The token with which its Consul agent announces Vault.
path "consul/creds/registration" {
  capabilities = ["read"]
}
