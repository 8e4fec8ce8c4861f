# What a machine with the role consul-server may do, besides machine.hcl.

path "[[ issue "pki-consul" "server" ]]" {
  capabilities = ["create", "update"]
}
