# What a task on Nomad may do in Vault: read the secrets of its own namespace and job.
#
# Namespace and job are what the job calls itself, and Vault fills them in before it reads the paths. So no path ends with
# one of them: a job called "pag*" would read what begins like it. A secret has one name below the job, without a slash: a job
# called "page/db", or "+/db", would read what lies deeper below the job "page". And a job called "+" would read what every job
# of its namespace has, were it not denied by the very same path.
#
# Parameters: .Accessor, of the auth method that workload identities log in through; .Mount, of the key-value store
# (version 2) with the secrets of workloads.

path "[[ .Mount ]]/data/{{identity.entity.aliases.[[ .Accessor ]].metadata.nomad_namespace}}/{{identity.entity.aliases.[[ .Accessor ]].metadata.nomad_job_id}}/+" {
  capabilities = ["read"]
}

path "[[ .Mount ]]/metadata/{{identity.entity.aliases.[[ .Accessor ]].metadata.nomad_namespace}}/{{identity.entity.aliases.[[ .Accessor ]].metadata.nomad_job_id}}/*" {
  capabilities = ["list"]
}

path "[[ .Mount ]]/data/{{identity.entity.aliases.[[ .Accessor ]].metadata.nomad_namespace}}/+/+" {
  capabilities = ["deny"]
}

path "[[ .Mount ]]/metadata/{{identity.entity.aliases.[[ .Accessor ]].metadata.nomad_namespace}}/+/*" {
  capabilities = ["deny"]
}
