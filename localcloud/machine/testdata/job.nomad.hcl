job "hello" {
  group "hello" {
    network {
      mode = "bridge"
      port "http" {
        static = 8080
        to     = 8080
      }
    }
    task "hello" {
      driver = "exec"
      config {
        command = "/bin/busybox"
        args    = ["httpd", "-f", "-p", "8080", "-h", "/local"]
      }
      template {
        data        = "hello from a chroot"
        destination = "local/index.html"
      }
      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
