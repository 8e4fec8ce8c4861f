# What a machine with the role nomad-client may do, besides what every machine may.

path "[[ issue "pki-nomad" "client" ]]" {
  capabilities = ["create", "update"]

  # With it a certificate would outlive the lifetime that its role gives.
  denied_parameters = {
    "not_after" = []
  }
}

[[ tokens ]]
