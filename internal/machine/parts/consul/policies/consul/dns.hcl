# What whoever asks a Consul agent over DNS may learn: every node, service and prepared query.

node_prefix "" {
  policy = "read"
}

service_prefix "" {
  policy = "read"
}

query_prefix "" {
  policy = "read"
}
