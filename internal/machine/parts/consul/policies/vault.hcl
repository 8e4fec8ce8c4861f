# Every machine runs a Consul agent: its certificate, the gossip key, and its tokens.
[[ certificates ]]

path "[[ gossip "consul" ]]" {
  capabilities = ["read"]
}

[[ tokens ]]
