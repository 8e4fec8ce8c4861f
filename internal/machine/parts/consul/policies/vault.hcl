# Every machine runs a Consul agent: its certificate, the gossip key, and its tokens.
path "[[ issue "pki-consul" "client" ]]" {
  capabilities = ["create", "update"]

  # With it a certificate would outlive the lifetime that its role gives.
  denied_parameters = {
    "not_after" = []
  }
}

path "[[ gossip "consul" ]]" {
  capabilities = ["read"]
}

[[ tokens ]]
