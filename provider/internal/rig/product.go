//go:build products

package rig

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Product is a running server of a real product.
type Product struct {
	Address string
	Dir     string // its data is in data
	command *exec.Cmd
	binary  string
	args    []string
}

// start runs a binary of .tools/bin until the test ends, and shows the end of its log if the test fails.
func start(t *testing.T, dir, binary string, args ...string) *Product {
	t.Helper()
	require.NoError(t, alone())
	path := filepath.Join(Tools(t), binary)
	require.FileExists(t, path, "build it with tools/build %s", binary)

	logPath := filepath.Join(dir, binary+".log")
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	command := exec.Command(path, args...)
	command.Stdout, command.Stderr, command.Dir = log, log, dir
	require.NoError(t, command.Start())
	running := &Product{Dir: dir, command: command, binary: binary, args: args}
	t.Cleanup(func() {
		running.Stop(t)
		require.NoError(t, log.Close())
		if t.Failed() {
			text, _ := os.ReadFile(logPath)
			t.Logf("end of %s:\n%s", logPath, text[max(0, len(text)-4000):])
		}
	})
	return running
}

// Stop kills the server, if it still runs.
func (r *Product) Stop(t *testing.T) {
	t.Helper()
	if r.command.ProcessState == nil {
		require.NoError(t, r.command.Process.Kill())
		_ = r.command.Wait() // always "signal: killed"
	}
}

// Restart starts the server again, with its data or without.
func (r *Product) Restart(t *testing.T, keepData bool) {
	t.Helper()
	r.Stop(t)
	if data := filepath.Join(r.Dir, "data"); !keepData {
		require.NoError(t, os.RemoveAll(data))
		require.NoError(t, os.Mkdir(data, 0o700)) // Vault wants to find it
	}
	r.command = start(t, r.Dir, r.binary, r.args...).command
}

func writeJSON(t *testing.T, path string, value any) {
	t.Helper()
	text, err := json.MarshalIndent(value, "", "  ")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, text, 0o600))
}

// writeCertificate writes cert.pem, key.pem and ca.PEM for a server at 127.0.0.1.
func (a Authority) writeCertificate(t *testing.T, dir string, names ...string) {
	t.Helper()
	certificate, key := a.issue(t, append([]string{"127.0.0.1"}, names...)...)
	for name, content := range map[string]string{"cert.pem": certificate, "key.pem": key, "ca.pem": a.PEM} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
}

// nextPort is the last port that was handed out. It starts below those that the kernel gives to outgoing connections, of
// which one could take a port before its server does.
var nextPort atomic.Int32

func init() { nextPort.Store(20000) }

// FreePorts returns ports that nothing listens on, and that no other test is given.
func FreePorts(t *testing.T, count int) []int {
	t.Helper()
	require.NoError(t, alone())
	ports := make([]int, 0, count)
	for len(ports) < count {
		port := int(nextPort.Add(1))
		require.Less(t, port, 32000, "no ports are left")
		listener, err := net.Listen("tcp", Local(port))
		if err != nil {
			continue
		}
		require.NoError(t, listener.Close())
		ports = append(ports, port)
	}
	return ports
}

// Local is a port of this machine.
func Local(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// Addresses are the URLs of the servers' APIs.
func Addresses(cluster []*Product) []string {
	var list []string
	for _, server := range cluster {
		list = append(list, server.Address)
	}
	return list
}

// Eventually is for what a product does on its own after an act of the test.
func Eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, time.Minute, 100*time.Millisecond, what)
}

// ACLInputs are the inputs of ConsulBootstrap and NomadBootstrap for a running cluster.
func ACLInputs(ca Authority, cluster []*Product) map[string]any {
	return map[string]any{
		"cluster": Cluster(ca, Addresses(cluster)...), "expectedVoters": len(cluster), "bootstrapSecret": Secret, "timeout": "90s",
	}
}

// Tools is the folder with the products' binaries. Tests run in the folder of their package.
func Tools(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../../.tools/bin")
	require.NoError(t, err)
	return path
}

// alone makes the packages' tests with real products take turns, although Go runs them at the same time: they would take
// each other's ports and, on a small machine, each other's time. Until the tests end it locks the folder of the provider;
// no file there, because `go build`, which Pulumi runs meanwhile, locks some of them itself.
var alone = sync.OnceValue(func() (err error) {
	if folder, err = os.Open(".."); err != nil {
		return err
	}
	return syscall.Flock(int(folder.Fd()), syscall.LOCK_EX)
})

// folder holds the lock. Go closes files that nothing refers to.
var folder *os.File
