# What a task looks up, with its client's network and with one of its own. Port 9 answers nobody: only whether there is an address
# counts. busybox asks glibc, as most programs do; its nslookup asks by itself, as musl and Go do.
job "names" {
  type = "batch"

  group "host" {
    network { mode = "host" }
    reschedule {
      attempts  = 0
      unlimited = false
    }
    restart {
      attempts = 0
      mode     = "fail"
    }

    task "look-up" {
      driver = "exec"
      config {
        command = "/bin/sh"
        args    = ["-c", "the script of names.go"]
      }
      env {
        MACHINE = "${node.unique.name}"
      }
      resources {
        cpu    = 50
        memory = 32
      }
    }
  }

  group "bridge" {
    network { mode = "bridge" }
    reschedule {
      attempts  = 0
      unlimited = false
    }
    restart {
      attempts = 0
      mode     = "fail"
    }

    task "look-up" {
      driver = "exec"
      config {
        command = "/bin/sh"
        args    = ["-c", "the script of names.go"]
      }
      env {
        MACHINE = "${node.unique.name}"
      }
      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
