# What a machine with the role vault may do, besides what every machine may.

# The certificate of Vault's own listener.
path "[[ issue "pki-vault" "server" ]]" {
  capabilities = ["create", "update"]

  # With it a certificate would outlive the lifetime that its role gives.
  denied_parameters = {
    "not_after" = []
  }
}

[[ tokens ]]
