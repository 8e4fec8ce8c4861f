# What a machine with the role nomad-server may do, besides machine.hcl.

path "[[ issue "pki-nomad" "server" ]]" {
  capabilities = ["create", "update"]
}

path "[[ gossip "nomad" ]]" {
  capabilities = ["read"]
}

[[ tokens ]]
