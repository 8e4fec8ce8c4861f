//go:build products

package bootstrap

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// product is a running server of a real product.
type product struct {
	address string
	command *exec.Cmd
	log     string
	dir     string
	binary  string
	args    []string
}

// start runs a binary of .tools/bin until the test ends, and shows the end of its log if the test fails.
func start(t *testing.T, dir, binary string, args ...string) *product {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", ".tools", "bin", binary))
	require.NoError(t, err)
	require.FileExists(t, path, "build it with tools/build %s", binary)

	logPath := filepath.Join(dir, binary+".log")
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	command := exec.Command(path, args...)
	command.Stdout, command.Stderr, command.Dir = log, log, dir
	require.NoError(t, command.Start())
	running := &product{command: command, log: logPath, dir: dir, binary: binary, args: args}
	t.Cleanup(func() {
		running.stop(t)
		require.NoError(t, log.Close())
		if t.Failed() {
			text, _ := os.ReadFile(logPath)
			t.Logf("end of %s:\n%s", logPath, text[max(0, len(text)-4000):])
		}
	})
	return running
}

// stop kills the server, if it still runs.
func (r *product) stop(t *testing.T) {
	t.Helper()
	if r.command.ProcessState == nil {
		require.NoError(t, r.command.Process.Kill())
		_ = r.command.Wait() // always "signal: killed"
	}
}

// restart starts the server again, with its data or without.
func (r *product) restart(t *testing.T, keepData bool) {
	t.Helper()
	r.stop(t)
	if data := filepath.Join(r.dir, "data"); !keepData {
		require.NoError(t, os.RemoveAll(data))
		require.NoError(t, os.Mkdir(data, 0o700)) // Vault wants to find it
	}
	r.command = start(t, r.dir, r.binary, r.args...).command
}

func writeJSON(t *testing.T, path string, value any) {
	t.Helper()
	text, err := json.MarshalIndent(value, "", "  ")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, text, 0o600))
}

// writeCertificate writes cert.pem, key.pem and ca.pem for a server at 127.0.0.1.
func (a authority) writeCertificate(t *testing.T, dir string, names ...string) {
	t.Helper()
	certificate, key := a.issue(t, append([]string{"127.0.0.1"}, names...)...)
	for name, content := range map[string]string{"cert.pem": certificate, "key.pem": key, "ca.pem": a.pem} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
}

// nextPort is the last port that was handed out. It starts below those that the kernel gives to outgoing connections, of
// which one could take a port before its server does.
var nextPort atomic.Int32

func init() { nextPort.Store(20000) }

// freePorts returns ports that nothing listens on, and that no other test is given.
func freePorts(t *testing.T, count int) []int {
	t.Helper()
	ports := make([]int, 0, count)
	for len(ports) < count {
		port := int(nextPort.Add(1))
		require.Less(t, port, 32000, "no ports are left")
		listener, err := net.Listen("tcp", local(port))
		if err != nil {
			continue
		}
		require.NoError(t, listener.Close())
		ports = append(ports, port)
	}
	return ports
}

func local(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

func addresses(cluster []*product) []string {
	var list []string
	for _, server := range cluster {
		list = append(list, server.address)
	}
	return list
}

// eventually is for what a product does on its own after an act of the test.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, time.Minute, 100*time.Millisecond, what)
}

func aclInputs(ca authority, cluster []*product) map[string]any {
	return map[string]any{
		"nodes": nodes(addresses(cluster)...), "caPem": ca.pem, "expectedVoters": len(cluster), "bootstrapSecret": secret, "timeout": "90s",
	}
}
