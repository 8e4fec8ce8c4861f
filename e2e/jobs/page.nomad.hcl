# A service that shows a secret: its page holds what the key-value store in Vault has for this job.
job "page" {
  group "web" {
    count = 2

    update {
      min_healthy_time = "2s" # a passing check of the page says all there is to say
    }

    # Servers that do not hear of a client leave its allocations where they are, for so long. Otherwise they would give them up
    # within seconds, and a client whose certificate has expired because Vault is away would stop what runs perfectly well.
    disconnect {
      lost_after = "12h"
      replace    = false
    }

    network {
      port "http" {}
    }

    service {
      name     = "page"
      port     = "http"
      provider = "consul"

      check {
        type     = "http"
        path     = "/"
        interval = "2s"
        timeout  = "1s"
      }
    }

    task "httpd" {
      driver = "exec"

      config {
        command = "/bin/busybox"
        args    = ["httpd", "-f", "-p", "${NOMAD_PORT_http}", "-h", "${NOMAD_SECRETS_DIR}/www"]
      }

      # The task logs in to Vault with the identity that Nomad signs for it; no token is handed around.
      vault {}

      template {
        data        = "{{ with secret \"secret/data/default/page/config\" }}{{ .Data.data.greeting }}{{ end }}\n"
        destination = "${NOMAD_SECRETS_DIR}/www/index.html"
        perms       = "0400" # a secret is nobody else's business on the machine either
        uid         = 65534  # nobody, as whom tasks run
        gid         = 65534
        change_mode = "noop" # the next request reads the new file
      }

      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
