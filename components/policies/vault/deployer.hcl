# What whoever deploys jobs may do in Vault: get short-lived tokens of Nomad and Consul with the policies named deployer
# there, and keep the secrets of the jobs in the namespace default.
#
# Parameters: .Mount, of the key-value store (version 2) with the secrets of workloads.

path "[[ nomadCreds deployer ]]" {
  capabilities = ["read"]
}

path "[[ consulCreds deployer ]]" {
  capabilities = ["read"]
}

path "[[ .Mount ]]/data/default/*" {
  capabilities = ["create", "read", "update", "patch", "delete"]
}

path "[[ .Mount ]]/delete/default/*" {
  capabilities = ["update"]
}

path "[[ .Mount ]]/undelete/default/*" {
  capabilities = ["update"]
}

path "[[ .Mount ]]/metadata/default/*" {
  capabilities = ["read", "list"]
}
