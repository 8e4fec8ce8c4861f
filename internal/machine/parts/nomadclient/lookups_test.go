package nomadclient

import (
	"io/fs"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/internal/machine"
	"hashistack/internal/names"
)

// The address stands in two files that cannot import it.
func TestTaskResolver(t *testing.T) {
	for _, path := range []string{"resolved.conf.d/tasks.conf", "system/task-resolver.service"} {
		content, err := fs.ReadFile(files, "rootfs/etc/systemd/"+path)
		require.NoError(t, err)
		assert.Contains(t, string(content), names.TaskResolver, path)
	}
}

// Every file by which names are looked up is in the chroot, and not the machine's own.
func TestLookupsOfTasks(t *testing.T) {
	env := chroot()
	for _, file := range lookups(machine.Machine{Name: "client-1", Private: netip.MustParseAddr("10.0.2.10")}) {
		assert.Equal(t, "/etc/"+file.Path[len(tasksDir):], env[file.Path])
		assert.NotContains(t, env, "/etc/"+file.Path[len(tasksDir):])
		assert.NotContains(t, file.Content, "127.0.0.53")
	}
}
