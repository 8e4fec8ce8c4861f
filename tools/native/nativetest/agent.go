package nativetest

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Binary returns the path of a pinned tool, which tools/build provides.
func Binary(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	require.NoError(t, err)
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if path := filepath.Join(dir, ".tools", "bin", name); exec.Command(path, "version").Run() == nil {
			return path
		}
	}
	t.Fatalf("%s is not in .tools/bin: run tools/build %s", name, name)
	return ""
}

// Ports returns free TCP ports on the loopback address.
func Ports(t testing.TB, n int) []int {
	t.Helper()
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer func() { _ = l.Close() }() // all are held until the last is chosen, so that no two are the same
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// StartAgent runs an agent with a JSON config file after its arguments until the test ends. When the test fails, its
// output is shown.
func StartAgent(t testing.TB, config any, binary string, args ...string) {
	t.Helper()
	text, err := json.Marshal(config)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "agent.json")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	var output bytes.Buffer
	agent := exec.Command(binary, append(args, file)...)
	agent.Stdout, agent.Stderr = &output, &output
	// Pass on only what is needed to find programs: the products would read proxies, cloud credentials and their own
	// addresses from the rest.
	agent.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	// The agent must not outlive the tests, not even when they are killed.
	agent.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, agent.Start())
	t.Cleanup(func() {
		_ = agent.Process.Signal(syscall.SIGINT)
		ended := make(chan struct{})
		go func() { _ = agent.Wait(); close(ended) }()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			_ = agent.Process.Kill()
			<-ended
		}
		if t.Failed() {
			t.Logf("output of %s:\n%s", binary, tail(output.String(), 40))
		}
	})
}

// Eventually polls until a condition holds. If it never does, the test fails with what it said last.
func Eventually(t testing.TB, what string, condition func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if err = condition(); err == nil {
			return
		}
	}
	t.Fatalf("want within a minute: %s; got: %v", what, err)
}

// tail returns the last lines of a text.
func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
