# What a machine with the role vault may do, besides machine.hcl.

# The certificate of Vault's own listener.
path "[[ issue "pki-vault" "server" ]]" {
  capabilities = ["create", "update"]
}

[[ tokens ]]
