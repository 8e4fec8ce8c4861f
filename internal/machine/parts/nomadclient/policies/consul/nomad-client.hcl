# What a Nomad client may do in Consul. Allocations register their services with their own identity; the client removes
# them when the allocation has ended and its identity with it.

agent_prefix "" {
  policy = "read"
}

node_prefix "" {
  policy = "read"
}

service_prefix "" {
  policy = "write"
}
