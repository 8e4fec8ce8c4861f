package stack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"hashistack/internal/poll"
)

const (
	// cloudStart bounds the start of the local cloud. It builds the machines' image first if there is none yet.
	cloudStart = 15 * time.Minute
	// cloudStop bounds its end, after which it is killed.
	cloudStop = 20 * time.Second
)

// cloudName marks what the local cloud makes on this host.
const cloudName = "hashistack"

// cloudFlags say which local cloud is meant; `serve` and `down` take the same.
func (s *Stack) cloudFlags() []string {
	return []string{"--state", s.Path("cloud"), "--name", cloudName}
}

// StartCloud starts the local cloud as a daemon, unless it runs already, and waits until its API answers.
func (s *Stack) StartCloud(ctx context.Context) error {
	token, err := s.makeToken()
	if err != nil {
		return err
	}
	running := s.cloudPID()
	status, err := probe(ctx, token)
	if err == nil && (status != http.StatusOK || running == 0) {
		return fmt.Errorf("something else listens on %s (it answers our token with status %d): if it is the local cloud of "+
			"another checkout, run `make down` there", CloudAddress, status)
	}
	if err != nil {
		if err := s.bringUpCloud(ctx, token, running); err != nil {
			return err
		}
	}
	return s.trustMirror(ctx)
}

// bringUpCloud starts the local cloud, unless an earlier run started it and was interrupted, and waits until it answers.
func (s *Stack) bringUpCloud(ctx context.Context, token string, running int) error {
	if running != 0 { // it may have the machines' image to build
		s.say("the local cloud is starting already (pid %d, log %s): waiting for it", running, s.Path("cloud.log"))
		return s.awaitCloud(ctx, token, func() error {
			if s.cloudPID() != running {
				return errors.New("by itself, or by somebody else")
			}
			return nil
		})
	}
	process, err := s.spawnCloud(ctx)
	if err != nil {
		return fmt.Errorf("start the local cloud: %w", err)
	}
	exit := make(chan error, 1)
	go func() { exit <- cmp.Or(process.Wait(), errors.New("without an error")) }()
	return s.awaitCloud(ctx, token, func() error {
		select {
		case err := <-exit:
			return err
		default:
			return nil
		}
	})
}

// spawnCloud starts the daemon in a session of its own, so that it outlives us and the terminal.
func (s *Stack) spawnCloud(ctx context.Context) (*exec.Cmd, error) {
	cmd, err := s.command(context.WithoutCancel(ctx), "localcloud", append([]string{"serve",
		"--listen", CloudAddress, "--control", ControlAddress, "--token-file", s.Path("token"),
	}, s.cloudFlags()...)...)
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(s.Path("cloud.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close() //nolint:errcheck // the daemon has it now
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd, cmd.Start()
}

// awaitCloud waits until the local cloud's API answers. ended says how the process has ended; nil while it runs.
func (s *Stack) awaitCloud(ctx context.Context, token string, ended func() error) error {
	err := poll.Until(ctx, cloudStart, "the local cloud's API to answer", func(ctx context.Context) error {
		status, err := probe(ctx, token)
		if err == nil && status == http.StatusOK {
			return nil
		}
		if end := ended(); end != nil {
			return poll.Final(fmt.Errorf("its process ended: %w", end))
		}
		return cmp.Or(err, fmt.Errorf("status %d", status))
	})
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%w: the local cloud goes on starting; `make up` waits for it, `make down` stops it", ctx.Err())
	}
	return fmt.Errorf("%w; the end of %s:\n%s", err, s.Path("cloud.log"), s.logTail())
}

// probe asks the API something cheap.
func probe(ctx context.Context, token string) (status int, err error) {
	status, _, err = get(ctx, "http://"+CloudAddress+"/v1/locations", token)
	return status, err
}

func get(ctx context.Context, url, token string) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close() //nolint:errcheck // only read
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

// trustMirror puts the key of the local cloud's package mirror where the stack's configuration says it is.
func (s *Stack) trustMirror(ctx context.Context) error {
	status, key, err := get(ctx, mirrorKey, "")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("status %d", status)
	}
	if err != nil {
		return fmt.Errorf("fetch the package mirror's key from %s: %w", mirrorKey, err)
	}
	return os.WriteFile(s.Path("mirror.asc"), key, 0o600)
}

func (s *Stack) logTail() string {
	content, err := os.ReadFile(s.Path("cloud.log"))
	if err != nil {
		return err.Error()
	}
	return lastLines(string(content), 20)
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// cloudPID is the running local cloud's process, whoever started it; 0 if there is none.
func (s *Stack) cloudPID() int {
	binary := filepath.Join(s.Root, ".tools", "bin", "localcloud")
	for pid, exe := range executables() {
		if exe != binary {
			continue
		}
		command, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
		if err == nil && strings.Contains(string(command), "\x00serve\x00") {
			return pid
		}
	}
	return 0
}

// StopCloud ends the local cloud's process. Its machines go on running.
func (s *Stack) StopCloud(ctx context.Context) error {
	pid := s.cloudPID()
	if pid == 0 {
		return nil
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop the local cloud (pid %d): %w", pid, err)
	}
	stopped := func(context.Context) error {
		if running := s.cloudPID(); running != 0 {
			return fmt.Errorf("pid %d runs", running)
		}
		return nil
	}
	if err := poll.Until(ctx, cloudStop, "the local cloud to stop", stopped); err == nil || ctx.Err() != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill the local cloud (pid %d), which did not stop within %s: %w", pid, cloudStop, err)
	}
	return poll.Until(ctx, cloudStop, "the local cloud to end when it was killed", stopped)
}

// RemoveCloud stops the local cloud and removes all that it made on this host.
func (s *Stack) RemoveCloud(ctx context.Context) error {
	if err := s.StopCloud(ctx); err != nil {
		return err
	}
	if !isExecutable(filepath.Join(s.Root, ".tools", "bin", "localcloud")) {
		if _, err := os.Stat(s.Path("cloud")); errors.Is(err, fs.ErrNotExist) {
			return nil // never built, never started
		}
	}
	return s.run(ctx, "localcloud", append([]string{"down"}, s.cloudFlags()...)...)
}

// OnMachine runs a command as root on a machine, as on its console, and returns its output.
func (s *Stack) OnMachine(ctx context.Context, machine string, command ...string) ([]byte, error) {
	return s.OnMachineWith(ctx, nil, machine, command...)
}

// OnMachineWith is OnMachine for a command that reads its input.
func (s *Stack) OnMachineWith(ctx context.Context, input io.Reader, machine string, command ...string) ([]byte, error) {
	found, err := s.output(ctx, nil, "docker", "ps", "--quiet", "--filter", "label=hashistack.localcloud="+cloudName,
		"--filter", "label=hashistack.localcloud.server="+machine)
	if err != nil {
		return nil, err
	}
	container := strings.TrimSpace(string(found))
	if container == "" {
		return nil, fmt.Errorf("machine %s does not run", machine)
	}
	return s.output(ctx, input, "docker", append([]string{"exec", "--interactive", container}, command...)...)
}

// NotAudit are journalctl's words for what units print, and systemd about them. Vault's audit records, which come by syslog,
// would drown it.
var NotAudit = []string{"_TRANSPORT=stdout", "_TRANSPORT=journal"}

// Journal returns what the units of a machine wrote to its journal, at most lines of them.
func (s *Stack) Journal(ctx context.Context, machine string, lines int, units ...string) ([]byte, error) {
	command := []string{"journalctl", "--no-pager", "--quiet", "--output=short-iso", "--lines=" + strconv.Itoa(lines)}
	for _, unit := range units {
		command = append(command, "--unit="+unit)
	}
	return s.OnMachine(ctx, machine, append(command, NotAudit...)...)
}
