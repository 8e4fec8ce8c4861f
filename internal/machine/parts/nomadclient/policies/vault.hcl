# What a machine with the role nomad-client may do, besides what every machine may.

[[ certificates ]]

path "[[ introduction ]]" {
  capabilities = ["read"]
}

[[ tokens ]]
