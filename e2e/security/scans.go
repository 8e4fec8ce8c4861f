package security

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// view is a look at a machine's ports from somewhere.
type view struct {
	from, of  string // for people
	kind      string // of the machine that is looked at
	column    string
	scan      scan
	addresses []string
	atOnce    int
}

const (
	// patiently is few enough for the memory of a small task.
	patiently = 300
	// impatiently is for where most packets get no answer at all.
	impatiently = 4000
)

// views are all places from which there is a column, and one from which nothing is reached. What listens on the loopback addresses includes the resolver's own.
func (w *world) views() []view {
	own := []string{"127.0.0.1", "127.0.0.53"}
	public := func(machine string) []string { return []string{w.outputs.Machines[machine]} }
	private := func(machine string) []string { return []string{w.private[machine]} }
	host, bridge := w.fromTask(onMachine), w.fromTask(onBridge)
	return []view{
		{"operator", "a server", "server", outside, w.fromHost, public(w.server), impatiently},
		{"operator", "a client", "client", outside, w.fromHost, public(w.client), impatiently},
		{"a machine, no operator", "a server", "server", elsewhere, w.fromMachine(w.neighbour), public(w.server), impatiently},
		{"a machine, no operator", "a client", "client", elsewhere, w.fromMachine(w.neighbour), public(w.client), impatiently},
		{"private network", "a server", "server", network, w.fromMachine(w.neighbour), private(w.server), patiently},
		{"private network", "a client", "client", network, w.fromMachine(w.neighbour), private(w.client), patiently},
		{"root on a server", "its loopback address", "server", loopback, w.fromMachine(w.server), own, patiently},
		{"root on a client", "its loopback address", "client", loopback, w.fromMachine(w.client), own, patiently},
		{"task", "a server", "server", byTask, host, private(w.server), patiently},
		{"task", "another client", "client", byTask, host, private(w.neighbour), patiently},
		{"task", "its client, at its private address", "client", byTask, host, private(w.client), patiently},
		{"task", "its client, at its public address", "client", byTask, host, public(w.client), patiently},
		{"task", "its client's loopback address", "client", taskLoopback, host, own, patiently},
		{"task on the bridge", "a server", "server", byBridge, bridge, private(w.server), patiently},
		{"task on the bridge", "another client", "client", byBridge, bridge, private(w.neighbour), patiently},
		{"task on the bridge", "its client, at its private address", "client", byBridge, bridge, private(w.client), patiently},
		{"task on the bridge", "its client, at its public address", "client", byBridge, bridge, public(w.client), patiently},
	}
}

// scans compares with the table of ports what is open from everywhere, and what listens.
func (w *world) scans(ctx context.Context) ([]Row, error) {
	table, err := readPorts(w.stack.Root)
	if err != nil {
		return nil, err
	}
	var rows []Row
	for _, v := range w.views() {
		rows = append(rows, looked(v.from, "all TCP ports of "+v.of, func() (string, error) {
			return v.compare(ctx, table, "tcp")
		}))
		if v.column == outside || v.column == elsewhere {
			continue // the cloud's firewall opens TCP alone, and answers nothing: silence says as little as an open port
		}
		rows = append(rows, looked(v.from, "the platform's UDP ports of "+v.of, func() (string, error) {
			return v.compare(ctx, table, "udp", table.numbers("udp")...)
		}))
	}
	for kind, machine := range map[string]string{"server": w.server, "client": w.client} {
		rows = append(rows, looked("root on a "+kind, "the sockets that listen", func() (string, error) {
			return w.listening(ctx, table, kind, machine)
		}))
	}
	return rows, nil
}

func (v view) compare(ctx context.Context, table *documented, protocol string, ports ...int) (string, error) {
	var found []int
	for _, address := range v.addresses {
		at, err := v.scan.ports(ctx, protocol, address, v.atOnce, ports...)
		if err != nil {
			return "", err
		}
		found = append(found, at...)
	}
	return fmt.Sprintf("open: %v", found), table.differs(table.expected(v.kind, protocol, v.column), found)
}

// firstAsker is the first of the ports that programs which ask get from the kernel. A UDP socket above it asks others.
const firstAsker = 32768

// listening compares with the table of ports the sockets that listen on a machine, whoever reaches them.
func (w *world) listening(ctx context.Context, table *documented, kind, machine string) (string, error) {
	out, err := w.stack.OnMachine(ctx, machine, "ss", "--no-header", "--listening", "--numeric", "--tcp", "--udp")
	if err != nil {
		return "", err
	}
	found := map[string][]int{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			return "", fmt.Errorf("ss said %q", line)
		}
		protocol, local := fields[0], fields[4]
		colon := strings.LastIndex(local, ":")
		number, err := strconv.Atoi(local[colon+1:])
		if err != nil {
			return "", fmt.Errorf("ss said %q: %w", line, err)
		}
		docker := strings.HasPrefix(local, "127.0.0.11:") // the resolver that Docker brings along; not at Hetzner
		if !docker && (protocol == "tcp" || number < firstAsker) && !slices.Contains(found[protocol], number) {
			found[protocol] = append(found[protocol], number)
		}
	}
	var problems []error
	for _, protocol := range []string{"tcp", "udp"} {
		slices.Sort(found[protocol])
		if err := table.differs(table.expected(kind, protocol, ""), found[protocol]); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", protocol, err))
		}
	}
	return fmt.Sprint(found), errors.Join(problems...)
}
