package security

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// port is a port of a machine. Several machines have the same ones: kind is what they have in common.
type port struct {
	kind     string // "server" or "client"
	protocol string // "tcp" or "udp"
	number   int
}

// Columns of the table of ports: from where a port is reached.
const (
	outside      = "outside"
	network      = "network"
	loopback     = "loopback"
	byTask       = "task"
	byBridge     = "task, bridge"
	taskLoopback = "task, loopback"
	// elsewhere has no column: from there nothing is reached.
	elsewhere = "elsewhere"
)

// documented is the table of ports in ARCHITECTURE.md.
type documented struct {
	// open says for each port from where it is reached: names of columns.
	open map[port][]string
	// jobs is the range of ports in which jobs listen on clients. What they do there is their own business.
	jobs [2]int
}

// portsHeading begins the section of ARCHITECTURE.md with the table.
const portsHeading = "\n## Ports\n"

// readPorts reads the table of ports from ARCHITECTURE.md below a folder.
func readPorts(root string) (*documented, error) {
	content, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		return nil, err
	}
	_, section, found := strings.Cut(string(content), portsHeading)
	if !found {
		return nil, fmt.Errorf("ARCHITECTURE.md has no section %q", strings.TrimSpace(portsHeading))
	}
	section, _, _ = strings.Cut(section, "\n## ")
	table := &documented{open: map[port][]string{}}
	var columns []string
	for line := range strings.Lines(section) {
		if !strings.HasPrefix(line, "|") {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case columns == nil:
			columns = cells
		case strings.HasPrefix(cells[0], "-"):
		default:
			if err := table.row(columns, cells); err != nil {
				return nil, fmt.Errorf("table of ports in ARCHITECTURE.md: %q: %w", strings.TrimSpace(line), err)
			}
		}
	}
	if len(table.open) == 0 || table.jobs[0] == 0 {
		return nil, errors.New("the table of ports in ARCHITECTURE.md has no ports, or none of jobs")
	}
	return table, nil
}

// row reads a line of the table: the machine, the port as 8200/tcp or as a range, and a cell for each column.
func (d *documented) row(columns, cells []string) error {
	if len(cells) != len(columns) {
		return fmt.Errorf("it has %d cells, the head has %d", len(cells), len(columns))
	}
	numbers, protocol, _ := strings.Cut(cells[1], "/")
	first, last, isRange := strings.Cut(numbers, "-")
	if isRange {
		for i, text := range []string{first, last} {
			number, err := strconv.Atoi(text)
			if err != nil {
				return err
			}
			d.jobs[i] = number
		}
		return nil
	}
	number, err := strconv.Atoi(first)
	if err != nil {
		return err
	}
	key := port{cells[0], protocol, number}
	if _, twice := d.open[key]; twice || !slices.Contains([]string{"tcp", "udp"}, protocol) {
		return errors.New("it stands there twice, or is neither tcp nor udp")
	}
	d.open[key] = []string{}
	for i, column := range columns {
		if cells[i] == "open" {
			d.open[key] = append(d.open[key], column)
		}
	}
	return nil
}

// expected are the ports of machines of a kind that are reached from a column's place; from "" all on which something listens.
func (d *documented) expected(kind, protocol, column string) []int {
	var all []int
	for p, open := range d.open {
		if p.kind == kind && p.protocol == protocol && (column == "" || slices.Contains(open, column)) {
			all = append(all, p.number)
		}
	}
	slices.Sort(all)
	return all
}

// numbers are all ports of the table with a protocol.
func (d *documented) numbers(protocol string) []int {
	all := map[int]bool{}
	for p := range d.open {
		if p.protocol == protocol {
			all[p.number] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// differs says how ports that were found differ from those that were expected; nil if they do not.
func (d *documented) differs(expected, found []int) error {
	var problems []error
	for _, number := range found {
		if !slices.Contains(expected, number) && (number < d.jobs[0] || number > d.jobs[1]) {
			problems = append(problems, fmt.Errorf("%d is open, but not by the table", number))
		}
	}
	for _, number := range expected {
		if !slices.Contains(found, number) {
			problems = append(problems, fmt.Errorf("%d is closed, but open by the table", number))
		}
	}
	return errors.Join(problems...)
}

// scan runs the scanner somewhere and returns the ports that it found open.
type scan func(ctx context.Context, arguments ...string) ([]byte, error)

func (w *world) fromHost(ctx context.Context, arguments ...string) ([]byte, error) {
	return exec.CommandContext(ctx, w.scanner, arguments...).Output()
}

func (w *world) fromMachine(machine string) scan {
	return func(ctx context.Context, arguments ...string) ([]byte, error) {
		return w.stack.OnMachine(ctx, machine, append([]string{scanner}, arguments...)...)
	}
}

func (w *world) fromTask(t task) scan {
	return func(ctx context.Context, arguments ...string) ([]byte, error) {
		return w.inside(ctx, t, append([]string{"/local/scan"}, arguments...)...)
	}
}

// ports scans an address. Without ports it scans all that there are.
func (s scan) ports(ctx context.Context, protocol, address string, atOnce int, ports ...int) ([]int, error) {
	arguments := []string{protocol, address, strconv.Itoa(atOnce)}
	for _, number := range ports {
		arguments = append(arguments, strconv.Itoa(number))
	}
	out, err := s(ctx, arguments...)
	if err != nil {
		return nil, fmt.Errorf("scan %s of %s: %w", protocol, address, err)
	}
	var found []int
	for text := range strings.FieldsSeq(string(out)) {
		number, err := strconv.Atoi(text)
		if err != nil {
			return nil, fmt.Errorf("scan %s of %s: %w", protocol, address, err)
		}
		found = append(found, number)
	}
	return found, nil
}
