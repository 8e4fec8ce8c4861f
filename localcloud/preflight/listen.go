package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// listener is a TCP socket that waits for connections.
type listener struct {
	at      netip.AddrPort
	inode   string
	process string
}

// listeners reads those of some ports from /proc: to try a port would take it away from somebody for a moment.
func listeners(ports []uint16) ([]listener, error) {
	var all []listener
	for _, path := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // no IPv6
		}
		if err != nil {
			return nil, err
		}
		found, err := listening(string(content))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		for _, l := range found {
			if slices.Contains(ports, l.at.Port()) {
				l.process = owner(l.inode)
				all = append(all, l)
			}
		}
	}
	return all, nil
}

func listening(table string) ([]listener, error) {
	var all []listener
	for line := range strings.Lines(table) {
		fields := strings.Fields(line) // sl, local address, remote address, state …, inode is the tenth
		if len(fields) < 10 || fields[3] != "0A" {
			continue
		}
		at, err := socketAddress(fields[1])
		if err != nil {
			return nil, err
		}
		all = append(all, listener{at: at, inode: fields[9]})
	}
	return all, nil
}

// socketAddress reads 0100007F:1F90: the address in words of four bytes, each in the order of the processor.
func socketAddress(text string) (netip.AddrPort, error) {
	address, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(address)
	number, errPort := strconv.ParseUint(port, 16, 16)
	if err := errors.Join(err, errPort); err != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, fmt.Errorf("socket address %q: want hexadecimal digits", text)
	}
	for word := range slices.Chunk(raw, 4) {
		slices.Reverse(word)
	}
	ip, ok := netip.AddrFromSlice(raw)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("socket address %q: want 4 or 16 bytes", text)
	}
	return netip.AddrPortFrom(ip, uint16(number)), nil
}

// owner names the process that has a socket.
func owner(inode string) string {
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is well formed
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && to == "socket:["+inode+"]" {
			dir := filepath.Dir(filepath.Dir(link))
			name, _ := os.ReadFile(filepath.Join(dir, "comm")) // empty if it has ended
			return fmt.Sprintf("%s (pid %s)", strings.TrimSpace(string(name)), filepath.Base(dir))
		}
	}
	return "a process that cannot be seen"
}
