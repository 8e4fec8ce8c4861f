# What the services in the configuration of a Vault machine's Consul agent need.

service "vault" {
  policy = "write"
}
