# What a machine with the role consul-server may do, besides what every machine may.

path "[[ issue "pki-consul" "server" ]]" {
  capabilities = ["create", "update"]

  # With it a certificate would outlive the lifetime that its role gives.
  denied_parameters = {
    "not_after" = []
  }
}
