// Package security tries, on a running stack, what jobs and machines must not be able to do. Each attempt stands beside its
// permitted twin, which differs in nothing but what makes the attempt wrong: so a check that is broken cannot pass.
package security

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	nomad "github.com/hashicorp/nomad/api"

	"hashistack/e2e/stack"
	"hashistack/internal/names"
)

// Attempt is what somebody in some position tries.
type Attempt struct {
	From string
	What string
	// Because is a part of what the refused one must say.
	Because string
	// Refused and Permitted make the attempt and its twin. They return nil if it succeeded.
	Refused, Permitted func(context.Context) error
}

// Row is how an attempt ended.
type Row struct {
	Attempt
	Seen string
	Well bool
}

// world is where attempts are made.
type world struct {
	stack   *stack.Stack
	outputs *stack.Outputs
	nomad   *nomad.Client
	client  string // a machine that runs jobs, those that are tried too
	server  string
	// neighbour is another machine that runs jobs.
	neighbour string
	// otherServer is another server.
	otherServer string
	private     map[string]string // addresses by machine
	scanner     string            // the program of package scan on this host
	deployer    *stack.Tokens
	operator    *stack.Tokens
}

// Extent is how much is tried.
type Extent int

// Some are the first few attempts of each kind, without the scans of all ports; All are all, which takes minutes.
const (
	Some Extent = iota
	All
)

// someOfEach is how many attempts of a kind Some are.
const someOfEach = 4

// newWorld chooses the machines from which attempts are made.
func newWorld(ctx context.Context, s *stack.Stack, outputs *stack.Outputs) (*world, error) {
	client, err := outputs.Nomad()
	if err != nil {
		return nil, err
	}
	clients := outputs.Members("client")
	slices.Sort(clients)
	if len(clients) < 2 {
		return nil, fmt.Errorf("two clients are needed, got %v", clients)
	}
	// The server with the active Vault: others send who asks them on to its private address, and write no audit log.
	server, err := activeVault(ctx, outputs)
	if err != nil {
		return nil, err
	}
	at := *outputs
	at.VaultAddress = names.HTTPS(outputs.Machines[server], names.VaultPort)
	others := slices.DeleteFunc(outputs.Members("server"), func(name string) bool { return name == server })
	return &world{
		stack: s, outputs: &at, nomad: client,
		client: clients[0], neighbour: clients[1], server: server, otherServer: slices.Max(others),
	}, nil
}

// activeVault is the machine whose Vault is active.
func activeVault(ctx context.Context, outputs *stack.Outputs) (string, error) {
	var said []error
	for _, machine := range outputs.Members("server") {
		client, err := outputs.VaultAt(names.HTTPS(outputs.Machines[machine], names.VaultPort))
		if err != nil {
			return "", err
		}
		leader, err := client.Sys().LeaderWithContext(ctx)
		if err == nil && leader.IsSelf {
			return machine, nil
		}
		said = append(said, err)
	}
	return "", fmt.Errorf("no Vault is active: %w", errors.Join(said...))
}

// Try makes attempts, one after the other, and says of each how it ended.
func Try(ctx context.Context, s *stack.Stack, outputs *stack.Outputs, extent Extent) (rows []Row, problem error) {
	w, err := newWorld(ctx, s, outputs)
	if err != nil {
		return nil, err
	}
	if err := w.prepare(ctx); err != nil {
		return nil, err
	}
	remove, err := w.settle(ctx)
	if remove != nil {
		defer func() { problem = errors.Join(problem, remove()) }()
	}
	if err != nil {
		return nil, err
	}
	for _, attempts := range [][]Attempt{
		w.tasks(), w.metadata(), w.secrets(), w.machines(), w.network(), w.guarded(), w.anonymous(), w.connections(),
		w.ofTask(), w.ofDeployer(), w.ofOperator(), w.ofMachine(), w.files(), w.certificates(), w.siblings(), w.parameters(),
	} {
		if extent == Some {
			attempts = attempts[:min(len(attempts), someOfEach)]
		}
		for _, attempt := range attempts {
			rows = append(rows, attempt.try(ctx))
		}
	}
	rows = append(rows, w.policies(ctx)...)
	units, err := w.units(ctx)
	if err != nil {
		return nil, err
	}
	rows = append(rows, units...)
	if extent == Some {
		return rows, ctx.Err()
	}
	scans, err := w.scans(ctx)
	if err != nil {
		return nil, err
	}
	return append(rows, scans...), ctx.Err()
}

// looked is the row of something that is compared with what it must be. look says what it has seen.
func looked(from, what string, look func() (string, error)) Row {
	seen, err := look()
	row := Row{Attempt: Attempt{From: from, What: what}, Seen: seen, Well: err == nil}
	if err != nil {
		row.Seen = err.Error()
	}
	return row
}

// try makes the attempt and its twin.
func (a Attempt) try(ctx context.Context) Row {
	err := a.Refused(ctx)
	row := Row{Attempt: a}
	switch {
	case err == nil:
		row.Seen = "it was not refused"
	case !strings.Contains(err.Error(), a.Because):
		row.Seen = fmt.Sprintf("refused, but not with %q: %v", a.Because, err)
	default:
		if err := a.Permitted(ctx); err != nil {
			row.Seen = "its twin was refused as well: " + err.Error()
		} else {
			row.Seen, row.Well = "refused; its twin was not", true
		}
	}
	return row
}

// Report writes a table, and returns an error if a row is not well.
func Report(out io.Writer, rows []Row) error {
	table := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	bad := 0
	for _, row := range rows {
		verdict := "ok"
		if !row.Well {
			verdict = "WRONG"
			bad++
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%.300s\n", verdict, row.From, row.What, strings.ReplaceAll(row.Seen, "\n", " "))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if len(rows) == 0 {
		return errors.New("nothing was tried")
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d attempts did not end as they must", bad, len(rows))
	}
	return nil
}
