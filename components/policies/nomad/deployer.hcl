# What whoever deploys jobs may do in Nomad: run and watch jobs in the namespace default. No way into allocations
# (alloc-exec) and none to their files (read-fs), where secrets are.

namespace "default" {
  capabilities = [
    "list-jobs",
    "parse-job",
    "read-job",
    "submit-job",
    "dispatch-job",
    "scale-job",
    "read-job-scaling",
    "list-scaling-policies",
    "read-scaling-policy",
    "read-logs",
    "alloc-lifecycle",
  ]
}

# Why a job is not placed is to be seen on nodes and node pools.
node {
  policy = "read"
}

node_pool "*" {
  policy = "read"
}
