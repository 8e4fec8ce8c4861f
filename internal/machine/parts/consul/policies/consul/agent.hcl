# What the Consul agent of a machine may do: register its own node.

node "[[ machine ]]" {
  policy = "write"
}

agent "[[ machine ]]" {
  policy = "write"
}

[[ range announced ]]# [[ .Why ]].
service "[[ .Name ]]" {
  policy = "write"
}

[[ end ]]# To tell which of the services it knows are still in the catalog.
service_prefix "" {
  policy = "read"
}
