package security

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	nomad "github.com/hashicorp/nomad/api"
)

// Tasks that stay: what is tried inside one of them is tried as it, without a job for each attempt.
var (
	onMachine = task{id: "probe-on-machine", host: true, script: stays}
	onBridge  = task{id: "probe-on-bridge", script: stays}
	holder    = task{id: "probe-own", vault: true, consul: true, script: stays}
)

// stays is the script of a task that does not end.
const stays = "while true; do busybox sleep 60; done"

// scanner is the program of package scan on a machine; in a task it is scanner's base name in the task's folder.
const scanner = "/var/tmp/scan"

// inside runs a command in a standing task, as that task, and returns what it writes.
func (w *world) inside(ctx context.Context, t task, command ...string) ([]byte, error) {
	allocation, err := w.allocation(ctx, t, nomad.AllocClientStatusRunning)
	if err != nil {
		return nil, err
	}
	var out, said bytes.Buffer
	code, err := w.nomad.Allocations().Exec(ctx, &nomad.Allocation{ID: allocation.ID, NodeID: allocation.NodeID}, "probe", false,
		command, strings.NewReader(""), &out, &said, nil, t.options())
	if err != nil {
		return nil, fmt.Errorf("in task %s: %w", t.id, err)
	}
	if code != 0 {
		return nil, fmt.Errorf("in task %s: exit status %d: %s", t.id, code, strings.TrimSpace(said.String()))
	}
	return out.Bytes(), nil
}

// settle starts the tasks that stay, and puts the scanner where it is used: on this host, on machines, into tasks.
func (w *world) settle(ctx context.Context) (remove func() error, err error) {
	dir, err := os.MkdirTemp("", "scan")
	if err != nil {
		return nil, err
	}
	remove = func() error { return os.RemoveAll(dir) }
	w.scanner = filepath.Join(dir, "scan")
	build := exec.CommandContext(ctx, "go", "build", "-o", w.scanner, "./security/scan")
	build.Dir, build.Env = filepath.Join(w.stack.Root, "e2e"), append(os.Environ(), "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		return remove, fmt.Errorf("build the scanner: %w: %s", err, said)
	}
	program, err := os.ReadFile(w.scanner)
	if err != nil {
		return remove, err
	}
	put := func(machine, path string) error {
		_, err := w.stack.OnMachineWith(ctx, bytes.NewReader(program), machine, "sh", "-c", "cat >"+path+" && chmod 0755 "+path)
		return err
	}
	machines := []string{w.client, w.neighbour, w.server}
	remove = func() error {
		problem := errors.Join(os.RemoveAll(dir), w.tidy(context.WithoutCancel(ctx)))
		for _, machine := range machines {
			_, err := w.stack.OnMachine(context.WithoutCancel(ctx), machine, "rm", "-f", scanner)
			problem = errors.Join(problem, err)
		}
		return problem
	}
	for _, machine := range machines {
		if err := put(machine, scanner); err != nil {
			return remove, err
		}
	}
	for _, t := range []task{onMachine, onBridge, holder} {
		if err := w.start(ctx, t); err != nil {
			return remove, err
		}
	}
	for _, t := range []task{onMachine, onBridge} {
		allocation, err := w.allocation(ctx, t, nomad.AllocClientStatusRunning)
		if err != nil {
			return remove, err
		}
		if err := put(w.client, "/opt/nomad/data/alloc/"+allocation.ID+"/probe/local/scan"); err != nil {
			return remove, err
		}
	}
	return remove, nil
}

// tidy ends the tasks that stay, and removes what the twins of refused writes have written.
func (w *world) tidy(ctx context.Context) (problem error) {
	for _, t := range []task{onMachine, onBridge, holder} {
		_, _, err := w.nomad.Jobs().Deregister(t.id, true, (&nomad.WriteOptions{}).WithContext(ctx))
		problem = errors.Join(problem, err)
	}
	for _, r := range []request{
		{"", "DELETE", keyOfProbe, ""},
		{"", "PUT", "/v1/catalog/deregister", `{"Node": "security-probe"}`},
		{"", "DELETE", intentionOfProbe, ""},
	} {
		problem = errors.Join(problem, w.ask(ctx, w.consul(), known(w.consul().token), r))
	}
	return problem
}
