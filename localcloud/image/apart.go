package image

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// gentle is how long a build has to end by itself after it was asked to.
	gentle = 10 * time.Second
	// killed bounds the wait for processes that were killed.
	killed = 5 * time.Second
)

// apart is a command with mounts of its own: what it mounts, the host does not see, and it is unmounted when the command
// and its children have ended, however they end. Cancelled, the command and its children are asked to end. So they are
// when this process is killed.
func apart(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // the commands are ours
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Unshareflags: syscall.CLONE_NEWNS, // Go makes the mounts private too, so that none of them spreads
		Setpgid:      true,
		Pdeathsig:    syscall.SIGTERM,
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = gentle
	return cmd
}

// runApart runs a command made by apart. When it returns, no process of its group is left.
func runApart(cmd *exec.Cmd) error {
	// The kernel sends Pdeathsig when the thread ends that has started the command, so this one must live on.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Run()
	if cmd.Process == nil {
		return err // not started
	}
	group := -cmd.Process.Pid
	for deadline := time.Now().Add(killed); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if syscall.Kill(group, syscall.SIGKILL) != nil {
			break // nobody is left
		}
	}
	return err
}

// removeTree removes a folder with all that is in it. It refuses where something is mounted in it: that belongs to
// somebody else, such as the host's shared memory, and would be emptied.
func removeTree(dir string) error {
	real, err := filepath.EvalSymlinks(dir) // as the kernel lists it
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	mounts, err := mountsBelow(real)
	if err != nil {
		return fmt.Errorf("look for mounts in %s: %w", dir, err)
	}
	if len(mounts) > 0 {
		return fmt.Errorf("%s is not removed, because something is mounted in it, and would be emptied: run `umount '%s'`, then try again",
			dir, strings.Join(mounts, "' '"))
	}
	return os.RemoveAll(dir)
}

// mountsBelow lists what is mounted at a folder and below it, in the order in which it can be unmounted.
func mountsBelow(dir string) ([]string, error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // only read
	var all []string
	for lines := bufio.NewScanner(file); lines.Scan(); err = lines.Err() {
		fields := strings.Fields(lines.Text()) // see proc(5): the fifth one is the mount point
		if len(fields) < 5 {
			return nil, fmt.Errorf("a line of /proc/self/mountinfo has no mount point: %q", lines.Text())
		}
		at := unescape(fields[4])
		if at == dir || strings.HasPrefix(at, dir+"/") {
			all = append([]string{at}, all...) // later ones may lie in or over earlier ones
		}
	}
	return all, err
}

// unescape undoes what the kernel does with spaces, tabs, line ends and backslashes: \040 is a space.
func unescape(path string) string {
	var out strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '\\' && i+3 < len(path) {
			if code, err := strconv.ParseUint(path[i+1:i+4], 8, 8); err == nil {
				out.WriteByte(byte(code))
				i += 3
				continue
			}
		}
		out.WriteByte(path[i])
	}
	return out.String()
}
