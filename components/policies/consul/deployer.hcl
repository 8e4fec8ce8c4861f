# What whoever deploys jobs may do in Consul: see services, and say which service may talk to which.

node_prefix "" {
  policy = "read"
}

service_prefix "" {
  policy     = "read"
  intentions = "write"
}
