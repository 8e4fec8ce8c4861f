# What whoever runs the platform may do in Vault day by day: get tokens of Consul and Nomad that may do everything there, give
# others the token of a deployer, see how Vault and its logins are, and take away what leaked. It reads no secret of a job or of
# the platform, and changes neither policies nor logins: that takes the stack's own token.

path "[[ consulCreds management ]]" {
  capabilities = ["read"]
}

path "[[ nomadCreds management ]]" {
  capabilities = ["read"]
}

path "auth/token/create/[[ deployer ]]" {
  capabilities = ["create", "update"]
}

path "sys/mounts" {
  capabilities = ["read"]
}

path "sys/auth" {
  capabilities = ["read"]
}

path "sys/policies/acl" {
  capabilities = ["list"]
}

path "sys/policies/acl/+" {
  capabilities = ["read"]
}

path "sys/storage/raft/configuration" {
  capabilities = ["read"]
}

path "sys/storage/raft/autopilot/state" {
  capabilities = ["read"]
}

# Logins of machines, without their SecretIDs.
path "auth/[[ appRole ]]/role" {
  capabilities = ["list"]
}

path "auth/[[ appRole ]]/role/+" {
  capabilities = ["read"]
}

# What failed too often is locked for a while.
path "sys/locked-users" {
  capabilities = ["read"]
}

path "sys/locked-users/+/unlock/+" {
  capabilities = ["update"]
}

# A token that leaked, with all that was issued under it.
path "auth/token/lookup-accessor" {
  capabilities = ["update"]
}

path "auth/token/revoke-accessor" {
  capabilities = ["update"]
}

path "sys/leases/lookup" {
  capabilities = ["update"]
}

path "sys/leases/revoke" {
  capabilities = ["update"]
}
