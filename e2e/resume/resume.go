// Package resume proves that a stack comes up at whatever moment its `pulumi up` was killed. It kills an update at a
// chosen moment, runs the next one, and checks that the result is as if nothing had happened.
package resume

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"hashistack/e2e/jobs"
	"hashistack/e2e/stack"
)

// Moment is when pulumi is killed.
type Moment struct {
	Name string
	// At chooses the event at which pulumi is stopped: the first for which it returns true.
	At func(stack.Event) bool
	// Until prepares a look for what must exist before the stopped pulumi is killed. This is the worst moment of a
	// create: it is done, but pulumi does not know. Nil kills at once.
	Until func(ctx context.Context, s *stack.Stack) (look, error)
	// Remedy is true where the next `pulumi up` must refuse, and the command that its error names must help.
	Remedy bool
}

const (
	// patience bounds the wait for something to exist, the boot of the machines included.
	patience = 5 * time.Minute
	// slice is how long pulumi may run between two looks: long enough to send a request, too short to also get the
	// answer and save it.
	slice = 4 * time.Millisecond
	// work is how long its plugins, which are not stopped, then have to carry out the request.
	work = 400 * time.Millisecond
)

// begins and ends choose events of the resource with a type and name; an empty name means any.
func begins(kind, name string) func(stack.Event) bool {
	return func(e stack.Event) bool { return e.Begin != nil && e.Begin.Touches(kind, name) }
}

func ends(kind, name string) func(stack.Event) bool {
	return func(e stack.Event) bool { return e.End != nil && e.End.Touches(kind, name) }
}

// Moments are spread over the whole of an update.
func Moments() []Moment {
	return []Moment{
		{Name: "the network exists in the cloud but not in the state", At: begins("hcloud:index/network:Network", ""), Until: networkExists},
		{Name: "a machine exists in the cloud but not in the state", At: begins("hcloud:index/server:Server", "server-2"), Until: serverExists("server-2")},
		{Name: "one machine is created, others are being created", At: ends("hcloud:index/server:Server", "")},
		{Name: "the machines boot and Vault is waited for", At: begins("hashistack:index:VaultInit", "")},
		{Name: "Vault is initialised but its keys are not in the state", At: begins("hashistack:index:VaultInit", ""), Until: vaultInitialised, Remedy: true},
		{Name: "one Vault is unsealed, others are not", At: ends("hashistack:index:VaultUnseal", "")},
		{Name: "a mount exists in Vault but not in the state", At: begins("vault:index/mount:Mount", "pki-consul"), Until: mountExists("pki-consul")},
		{Name: "machines' roles exist in Vault but not in the state", At: begins("vault:appRole/authBackendRole:AuthBackendRole", "server-1"), Until: roleExists("server-1")},
		{Name: "Consul's ACL system is being bootstrapped", At: begins("hashistack:index:ConsulBootstrap", "")},
		{Name: "a token exists in Consul but not in the state", At: begins("hashistack:index:ConsulToken", "consul-engine"), Until: consulTokenExists},
		{Name: "Nomad's ACL system is bootstrapped, its token for Vault is being created", At: begins("nomad:index/aclToken:AclToken", "vault"), Until: nomadTokenExists},
	}
}

// Prove runs the proof for one moment, from an empty cloud to an empty cloud.
func Prove(ctx context.Context, s *stack.Stack, m Moment) error {
	if err := s.Down(ctx); err != nil {
		return err
	}
	before, err := s.TakeInventory(ctx)
	if err != nil {
		return err
	}
	var phases stack.Phases
	if err := s.Prepare(ctx, &phases); err != nil {
		return err
	}
	if err := s.Interrupt(ctx, m.At, func(pulumi *os.Process) error { return stopAndKill(ctx, s, m, pulumi) }); err != nil {
		return fmt.Errorf("kill pulumi: %w", err)
	}
	fmt.Fprintln(s.Out, "--- killed; the next update")
	if err := s.Settle(ctx); err != nil {
		return fmt.Errorf("settle: %w", err)
	}
	if err := resume(ctx, s, m); err != nil {
		return err
	}
	fmt.Fprintln(s.Out, "--- is all as it should be?")
	if err := healthy(ctx, s); err != nil {
		return err
	}
	if err := s.Down(ctx); err != nil {
		return err
	}
	after, err := s.TakeInventory(ctx)
	if err != nil {
		return err
	}
	if left := after.Without(before); len(left) > 0 {
		return fmt.Errorf("down left something: %s", strings.Join(left, "; "))
	}
	return nil
}

// stopAndKill kills pulumi: at once, or when something that it has asked for exists but pulumi does not know it yet.
func stopAndKill(ctx context.Context, s *stack.Stack, m Moment, process *os.Process) error {
	if m.Until == nil {
		return process.Kill()
	}
	err := process.Signal(syscall.SIGSTOP)
	if err != nil {
		return err
	}
	seen, err := m.Until(ctx, s)
	if err != nil {
		return errors.Join(err, process.Kill())
	}
	deadline := time.Now().Add(patience)
	for {
		if err = within(ctx, work, seen); err == nil || time.Now().After(deadline) || ctx.Err() != nil {
			return errors.Join(err, process.Kill())
		}
		if err := process.Signal(syscall.SIGCONT); err != nil {
			return err
		}
		time.Sleep(slice) // its share of time, not a wait for anything
		if err := process.Signal(syscall.SIGSTOP); err != nil {
			return err
		}
	}
}

// within looks again and again for a short time.
func within(ctx context.Context, d time.Duration, seen look) error {
	deadline := time.Now().Add(d)
	for {
		err := seen(ctx)
		if err == nil || time.Now().After(deadline) || ctx.Err() != nil {
			return err
		}
		time.Sleep(d / 20)
	}
}

// remedy finds the command that an error names between backquotes.
var remedy = regexp.MustCompile("`(pulumi up [^`]+)`")

// resume runs the update again. Where the update must refuse, it runs the command that the error names.
func resume(ctx context.Context, s *stack.Stack, m Moment) error {
	var said strings.Builder
	_, err := s.Operate(ctx, stack.Operation{Args: []string{"up", "--yes", "--skip-preview"}, Output: io.MultiWriter(s.Out, &said)})
	if !m.Remedy {
		return err
	}
	if err == nil {
		return errors.New("the update went through, although Vault's keys were lost")
	}
	command := remedy.FindStringSubmatch(said.String())
	if command == nil {
		return fmt.Errorf("the update's error names no remedy: %w", err)
	}
	fmt.Fprintf(s.Out, "--- the remedy that the error names: %s\n", command[1])
	if err := s.Settle(ctx); err != nil {
		return fmt.Errorf("settle: %w", err)
	}
	args := strings.Fields(strings.NewReplacer("'", "", `"`, "").Replace(command[1]))[1:]
	for _, flag := range []string{"--yes", "--skip-preview"} {
		if !slices.Contains(args, flag) {
			args = append(args, flag)
		}
	}
	_, err = s.Operate(ctx, stack.Operation{Args: args})
	return err
}

// healthy returns nil when a further update has nothing to do and the platform works.
func healthy(ctx context.Context, s *stack.Stack) error {
	if _, err := s.Operate(ctx, stack.Operation{Args: []string{"preview", "--refresh", "--expect-no-changes"}}); err != nil {
		return fmt.Errorf("an update would change something: %w", err)
	}
	outputs, err := s.Outputs(ctx)
	if err != nil {
		return err
	}
	if err := outputs.Healthy(ctx); err != nil {
		return err
	}
	sample, err := jobs.New(s, outputs)
	if err != nil {
		return err
	}
	return sample.Run(ctx)
}
