# A job that wants the secret of another job, in the two ways there are. Vault must refuse both.
job "denied" {
  # With its own identity, which opens its own secrets only: the template never gets what it asks for.
  group "thief" {
    task "read" {
      driver = "exec"

      config {
        command = "/bin/busybox"
        args    = ["cat", "${NOMAD_SECRETS_DIR}/stolen"]
      }

      vault {}

      template {
        data        = "{{ with secret \"secret/data/default/page/config\" }}{{ .Data.data.greeting }}{{ end }}\n"
        destination = "${NOMAD_SECRETS_DIR}/stolen"
        perms       = "0400"
      }

      resources {
        cpu    = 50
        memory = 32
      }
    }
  }

  # With the role in Vault that is bound to the other job: the login fails.
  group "impostor" {
    task "log-in" {
      driver = "exec"

      config {
        command = "/bin/busybox"
        args    = ["true"]
      }

      vault {
        role = "page"
      }

      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
