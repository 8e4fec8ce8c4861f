# What a task on Nomad may do in Vault: read the secrets of its own namespace and job.
#
# Parameters: .Accessor, of the auth method that workload identities log in through; .Mount, of the key-value store
# (version 2) with the secrets of workloads.

path "[[ .Mount ]]/data/{{identity.entity.aliases.[[ .Accessor ]].metadata.nomad_namespace}}/{{identity.entity.aliases.[[ .Accessor ]].metadata.nomad_job_id}}" {
  capabilities = ["read"]
}

path "[[ .Mount ]]/data/{{identity.entity.aliases.[[ .Accessor ]].metadata.nomad_namespace}}/{{identity.entity.aliases.[[ .Accessor ]].metadata.nomad_job_id}}/*" {
  capabilities = ["read"]
}

path "[[ .Mount ]]/metadata/{{identity.entity.aliases.[[ .Accessor ]].metadata.nomad_namespace}}/{{identity.entity.aliases.[[ .Accessor ]].metadata.nomad_job_id}}/*" {
  capabilities = ["list"]
}
