package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"

	"hashistack/internal/stackstate"
)

// command is one of the pinned tools or a script, run in the checkout with the stack's environment.
func (s *Stack) command(ctx context.Context, name string, args ...string) (*exec.Cmd, error) {
	environ, err := s.Environ()
	if err != nil {
		return nil, err
	}
	if tool := filepath.Join(s.Root, ".tools", "bin", name); isExecutable(tool) {
		name = tool
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = s.Root, environ
	if filepath.Base(name) == "pulumi" {
		// The terminal sends Ctrl-C to every process of its group. From us alone pulumi gets it once: the second time
		// would tell it to drop what it is at, and the cloud has resources then that the state does not know.
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	}
	// Interrupted, pulumi finishes the operations that it is at. Killed, it leaves them half done.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 2 * time.Minute
	return cmd, nil
}

func isExecutable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&0o111 != 0
}

// run runs a command whose output a person wants to follow.
func (s *Stack) run(ctx context.Context, name string, args ...string) error {
	cmd, err := s.command(ctx, name, args...)
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = s.Out, s.Out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(append([]string{filepath.Base(name)}, args...), " "), err)
	}
	return nil
}

// output runs a command for what it prints on standard output; what it says on standard error is part of the error.
func (s *Stack) output(ctx context.Context, input io.Reader, name string, args ...string) ([]byte, error) {
	cmd, err := s.command(ctx, name, args...)
	if err != nil {
		return nil, err
	}
	var out, said bytes.Buffer
	cmd.Stdin = input
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", strings.Join(append([]string{filepath.Base(name)}, args...), " "), err,
			strings.TrimSpace(said.String()))
	}
	return out.Bytes(), nil
}

func (s *Stack) pulumiOutput(ctx context.Context, args ...string) ([]byte, error) {
	return s.output(ctx, nil, "pulumi", append(args, "--non-interactive")...)
}

// Export is the stack's state as JSON; its secrets are encrypted unless they are asked for.
func (s *Stack) Export(ctx context.Context, secrets bool) ([]byte, error) {
	args := []string{"stack", "export"}
	if secrets {
		args = append(args, "--show-secrets")
	}
	return s.pulumiOutput(ctx, args...)
}

// State is the stack's state as `pulumi stack export` has it.
func (s *Stack) State(ctx context.Context, secrets bool) (*apitype.DeploymentV3, error) {
	exported, err := s.Export(ctx, secrets)
	if err != nil {
		return nil, err
	}
	return stackstate.Decode(exported)
}

// SavedState is the stack's state as pulumi has saved it last. It is read without asking pulumi, which may be stopped.
func (s *Stack) SavedState() (*apitype.DeploymentV3, error) {
	content, err := os.ReadFile(s.stateFile())
	if err != nil {
		return nil, err
	}
	return stackstate.DecodeFile(content)
}

// ErrFailed is returned, wrapped, when pulumi ran to its end and says that the operation failed.
var ErrFailed = errors.New("pulumi failed")

// Operation is a run of pulumi that reports engine events: up, preview, refresh or destroy.
type Operation struct {
	// Args are pulumi's, such as "up", "--yes".
	Args []string
	// Output receives what pulumi prints; nil means the stack's Out.
	Output io.Writer
	// Event is called for each engine event as it comes; it may be nil.
	Event func(Event)
	// Started is called with the process; it may be nil.
	Started func(*os.Process)
}

// Operate runs pulumi and returns its events, also when it failed.
func (s *Stack) Operate(ctx context.Context, op Operation) ([]Event, error) {
	if err := os.MkdirAll(s.Path("events"), 0o700); err != nil {
		return nil, err
	}
	log := s.Path("events", time.Now().UTC().Format("20060102T150405.000")+"-"+op.Args[0]+".jsonl")
	args := append(slices.Clone(op.Args), "--non-interactive", "--event-log", log)
	if s.Config != "" {
		args = append(args, "--config-file", s.Config)
	}
	cmd, err := s.command(ctx, "pulumi", args...)
	if err != nil {
		return nil, err
	}
	cmd.Env = append(cmd.Env, "PULUMI_DEBUG_COMMANDS=true") // --event-log is hidden without it
	cmd.Stdout = op.Output
	if op.Output == nil {
		cmd.Stdout = s.Out
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start pulumi: %w", err)
	}
	if op.Started != nil {
		op.Started(cmd.Process)
	}
	ended := make(chan struct{})
	followed := make(chan []Event, 1)
	go func() { followed <- follow(log, ended, op.Event) }()
	err = cmd.Wait()
	close(ended)
	events := <-followed
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return events, fmt.Errorf("%w: pulumi %s: %w", ErrFailed, strings.Join(op.Args, " "), err)
	}
	return events, err
}

// Interrupt runs `pulumi up`, and calls kill with its process at the first event for which at returns true. The plugins
// are not killed.
func (s *Stack) Interrupt(ctx context.Context, at func(Event) bool, kill func(*os.Process) error) error {
	var (
		process *os.Process
		once    sync.Once
		failed  = errors.New("it ended before the moment came")
	)
	_, err := s.Operate(ctx, Operation{
		Args:    []string{"up", "--yes", "--skip-preview"},
		Started: func(p *os.Process) { process = p },
		Event: func(e Event) {
			if at(e) {
				once.Do(func() { failed = kill(process) })
			}
		},
	})
	if failed != nil {
		return errors.Join(failed, err)
	}
	return nil
}
