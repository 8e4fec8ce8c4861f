data_dir = "/opt/nomad/data"
bind_addr = "0.0.0.0"
server {
  enabled          = true
  bootstrap_expect = 1
}
client {
  enabled  = true
  cni_path = "/usr/lib/cni"
  # The default is half a gigabyte for each allocation.
  chroot_env = {
    "/bin/busybox"                 = "/bin/busybox"
    "/lib/x86_64-linux-gnu"        = "/lib/x86_64-linux-gnu"
    "/lib64"                       = "/lib64"
  }
}
