# What a machine with the role nomad-client may do, besides machine.hcl.

path "[[ issue "pki-nomad" "client" ]]" {
  capabilities = ["create", "update"]
}

[[ tokens ]]
