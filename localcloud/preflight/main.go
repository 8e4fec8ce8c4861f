// Command preflight says what on this machine would keep the local cloud from working, all of it at once and each with its
// remedy, before anything is downloaded, built or changed. It needs nothing but Go's own library, so that `go run` has it
// in a second on a machine that has nothing else yet.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"hashistack/localcloud/host"
)

// target is the local cloud that is to run here.
type target struct {
	name, identity string
	// loopback and gateway are the ports that it listens on at 127.0.0.1 and at the host's public address.
	loopback, gateway []uint16
	public, private   netip.Prefix
	// built tells that the tools are there, so that less has to fit on the disk.
	built bool
}

func main() {
	checkout := flag.String("checkout", "..", "the checkout that the local cloud is to run for")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	t, err := targetOf(*checkout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "preflight:", err)
		os.Exit(1)
	}
	stop := false
	for _, f := range judge(gather(ctx, t), t) {
		kind := "note"
		if f.stops {
			kind, stop = "problem", true
		}
		fmt.Fprintf(os.Stderr, "%s: %s\n", kind, f.text)
	}
	if stop {
		fmt.Fprintln(os.Stderr, "Nothing has been changed.")
		os.Exit(1)
	}
}

// network finds the private network in the local stack's configuration. There may be no module yet to read YAML with.
var network = regexp.MustCompile(`(?m)^\s+hashistack:network:\s*["']?([0-9./]+)`)

func targetOf(checkout string) (target, error) {
	t := target{
		name: "hashistack", loopback: []uint16{8580, 8581}, gateway: []uint16{8582, 8583},
		public: netip.MustParsePrefix("198.18.0.0/16"), private: netip.MustParsePrefix("10.0.0.0/16"),
	}
	var err error
	if t.identity, err = host.Identity(filepath.Join(checkout, ".local", "cloud")); err != nil {
		return t, err
	}
	config, err := os.ReadFile(filepath.Join(checkout, "Pulumi.local.yaml"))
	if err != nil {
		return t, err
	}
	// A value that is no network is refused by the program, which says more about it.
	if found := network.FindSubmatch(config); found != nil {
		if p, err := netip.ParsePrefix(string(found[1])); err == nil {
			t.private = p
		}
	}
	_, err = os.Stat(filepath.Join(checkout, ".tools", "bin", "pulumi"))
	t.built = err == nil
	return t, nil
}
