# What a task on Nomad may do in Consul: find services. The key-value store is not for tasks; secrets are in Vault.

node_prefix "" {
  policy = "read"
}

service_prefix "" {
  policy = "read"
}
