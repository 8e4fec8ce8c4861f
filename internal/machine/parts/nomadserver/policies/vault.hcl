# What a machine with the role nomad-server may do, besides what every machine may.

[[ certificates ]]

path "[[ gossip "nomad" ]]" {
  capabilities = ["read"]
}

[[ tokens ]]
