# What a machine with the role consul-server may do, besides machine.hcl.

path "pki-consul/issue/server" {
  capabilities = ["create", "update"]
}
