package main

import "syscall"

// processAttributes gives a child a process group of its own and, should the host be killed before it can kill its
// children, has the kernel do it.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
