# What a Nomad client may do in Consul. Allocations register their services with their own identity; the client removes
# them when the allocation has ended and its identity with it. Nomad gives that token no part in the name of a service, so the
# client may write any but the platform's.

agent_prefix "" {
  policy = "read"
}

node_prefix "" {
  policy = "read"
}

service_prefix "" {
  policy = "write"
}
[[ range reserved "nomad-client" ]]
service "[[ . ]]" {
  policy = "read"
}
[[ end ]]