package image

// suite is the Debian release of the machines.
const suite = "bookworm"

// basePackages are on every machine from the start, as they are on a stock Debian 12 at Hetzner; minimal without kernel,
// boot loader and documentation.
var basePackages = []string{
	// The system and the way in.
	"systemd", "systemd-sysv", "systemd-timesyncd", "libpam-systemd", "dbus", "cloud-init", "openssh-server", "sudo", "cron",
	"logrotate", "kmod", "e2fsprogs",
	// Network.
	"iproute2", "iputils-ping", "iptables", "nftables", "netbase", "bind9-dnsutils", "netcat-openbsd",
	// Packages from further repositories.
	"apt-utils", "ca-certificates", "curl", "wget", "gnupg",
	// For people.
	"busybox", "procps", "psmisc", "less", "lsof", "vim-tiny", "tzdata",
}

// mirrorPackages can be installed on a machine, with all they depend on: the machines' Debian mirror holds no others.
var mirrorPackages = []string{
	"chrony", "containernetworking-plugins", "dmidecode", "jq", "libnss-myhostname", "libnss-resolve", "systemd-resolved",
	"unzip",
}

// maskedUnits make no sense in a container: the host has done their work, or they would change the host.
var maskedUnits = []string{
	// Devices and modules are the host's.
	"systemd-udevd.service", "systemd-udevd-kernel.socket", "systemd-udevd-control.socket", "systemd-udev-trigger.service",
	"systemd-udev-settle.service", "systemd-modules-load.service", "modprobe@.service",
	// So are the kernel's settings outside the network.
	"systemd-sysctl.service", "systemd-binfmt.service", "proc-sys-fs-binfmt_misc.automount", "proc-sys-fs-binfmt_misc.mount",
	// Kernel file systems that a container may not mount.
	"systemd-remount-fs.service", "sys-kernel-config.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount",
	"sys-fs-fuse-connections.mount", "dev-hugepages.mount", "dev-mqueue.mount", "systemd-pstore.service",
	// Addresses are set from outside; nothing waits for them.
	"systemd-networkd-wait-online.service",
	// No console to log in at, no disk to trim or check.
	"getty@tty1.service", "getty.target", "console-getty.service", "fstrim.timer", "e2scrub_all.timer", "e2scrub_reap.service",
	// Would install updates in the middle of a test.
	"apt-daily.timer", "apt-daily-upgrade.timer",
}
