# What a machine with the role nomad-client may do, besides machine.hcl.

path "pki-nomad/issue/client" {
  capabilities = ["create", "update"]
}

path "consul/creds/nomad-client" {
  capabilities = ["read"]
}
