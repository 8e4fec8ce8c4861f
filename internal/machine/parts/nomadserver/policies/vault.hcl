# What a machine with the role nomad-server may do, besides what every machine may.

path "[[ issue "pki-nomad" "server" ]]" {
  capabilities = ["create", "update"]

  # With it a certificate would outlive the lifetime that its role gives.
  denied_parameters = {
    "not_after" = []
  }
}

path "[[ gossip "nomad" ]]" {
  capabilities = ["read"]
}

[[ tokens ]]
