//go:build products

package components

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/internal/names"
)

// A disk that is full under the first audit device stops a Vault with that device alone. With both it goes on, and the second
// has what the first one could not write. It mounts a small disk, so it runs as root.
func TestFullDiskUnderAuditLogDoesNotStopVault(t *testing.T) {
	disk := t.TempDir()
	require.NoError(t, syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=256k"))
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	journal := listenForSyslog(t)
	v := startVault(t)

	enable := func(kind string, options map[string]string) {
		require.Equal(t, http.StatusNoContent, v.put(t, "sys/audit/"+kind, map[string]any{"type": kind, "options": options}), kind)
	}
	file, syslog := auditDevices[0], auditDevices[1]
	file.options = map[string]string{"file_path": filepath.Join(disk, filepath.Base(file.options["file_path"]))}
	secret := func() int { return v.put(t, "secret/data/any", map[string]any{"data": map[string]string{"k": "v"}}) }
	filler := filepath.Join(disk, "filler")
	fill := func() { require.ErrorIs(t, os.WriteFile(filler, make([]byte, 1<<20), 0o600), syscall.ENOSPC) }

	enable(file.kind, file.options)
	assert.Equal(t, http.StatusOK, secret(), "one device, a disk with room")
	fill()
	assert.Contains(t, several(secret), http.StatusInternalServerError, "one device, a full disk")

	require.NoError(t, os.Remove(filler))
	enable(syslog.kind, syslog.options)
	fill()
	assert.NotContains(t, several(secret), http.StatusInternalServerError, "both devices, a full disk")
	// It has none of the requests before: it was not there yet.
	for enough := time.After(10 * time.Second); ; {
		select {
		case record := <-journal:
			assert.Contains(t, record, names.VaultAuditTag)
			if strings.Contains(record, `"path":"secret/data/any"`) {
				return
			}
		case <-enough:
			require.Fail(t, "the second device has no record of the secret")
		}
	}
}

// listenForSyslog takes the place of journald, which machines have and the place where tests run need not.
func listenForSyslog(t *testing.T) chan string {
	t.Helper()
	const socket = "/dev/log"
	_, err := os.Lstat(socket)
	require.ErrorIs(t, err, os.ErrNotExist, "something else takes what is sent to %s", socket)
	listener, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = listener.Close()
		_ = os.Remove(socket)
	})
	records := make(chan string, 1000)
	go func() {
		buffer := make([]byte, 1<<20)
		for {
			n, err := listener.Read(buffer)
			if err != nil {
				return
			}
			records <- string(buffer[:n])
		}
	}()
	return records
}

// several are the answers to requests whose records are longer together than what a full disk has left in the log's last page.
func several(request func() int) []int {
	var answers []int
	for range 10 {
		answers = append(answers, request())
	}
	return answers
}

// put makes a request with the root token, and returns the status of the answer.
func (v vaultServer) put(t *testing.T, path string, body any) int {
	t.Helper()
	encoded, err := json.Marshal(body)
	require.NoError(t, err)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, v.address+"/v1/"+strings.TrimPrefix(path, "/"), bytes.NewReader(encoded))
	require.NoError(t, err)
	request.Header.Set("X-Vault-Token", v.token)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}
