// Package nomaduser makes Nomad run as the user nomad. Only clients have to be root.
package nomaduser

import (
	"embed"

	"hashistack/internal/machine"
)

//go:embed all:rootfs
var files embed.FS

// Part is on machines with the role nomad-server that are no clients. nomad.Owner names the same user.
var Part = machine.Part{Name: "nomaduser", FS: files}
