# What a Nomad server may do in Consul. What jobs do, they do with their own identity.

agent_prefix "" {
  policy = "read"
}

node_prefix "" {
  policy = "read"
}

# Its own service, and on a machine that is a client too that one's and those of allocations that end.
service_prefix "" {
  policy = "write"
}
[[ range reserved "nomad" "nomad-client" ]]
service "[[ . ]]" {
  policy = "read"
}
[[ end ]]
# The configuration entries of gateways that jobs declare.
mesh = "write"

# The lock that servers hold while they restart for a new token, one at a time.
key_prefix "[[ lock ]]/" {
  policy = "write"
}

session_prefix "" {
  policy = "write"
}
