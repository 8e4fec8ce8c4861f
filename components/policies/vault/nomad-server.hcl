# What a machine with the role nomad-server may do, besides machine.hcl.

path "pki-nomad/issue/server" {
  capabilities = ["create", "update"]
}

path "platform/data/gossip/nomad" {
  capabilities = ["read"]
}

path "consul/creds/nomad-server" {
  capabilities = ["read"]
}
