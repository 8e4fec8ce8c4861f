# What the Consul agent of a machine may do: register its own node. Machines are named after their pool, with a number.

node_prefix "[[ pool ]]-" {
  policy = "write"
}

agent_prefix "[[ pool ]]-" {
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
