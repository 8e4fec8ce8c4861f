# Every machine runs a Consul agent: its certificate, the gossip key, and its tokens.
path "[[ issue "pki-consul" "client" ]]" {
  capabilities = ["create", "update"]
}

path "[[ gossip "consul" ]]" {
  capabilities = ["read"]
}

[[ tokens ]]
