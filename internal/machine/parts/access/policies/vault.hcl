# What every machine may do in Vault, whatever its roles.

path "auth/token/lookup-self" {
  capabilities = ["read"]
}

path "auth/token/renew-self" {
  capabilities = ["update"]
}

path "sys/leases/renew" {
  capabilities = ["update"]
}

# How long its Consul tokens live, which it knows the leases of.
path "sys/leases/lookup" {
  capabilities = ["update"]
}
