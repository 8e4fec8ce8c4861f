package security

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/internal/names"
)

// The table in ARCHITECTURE.md says of tasks what the machines' guard is made from.
func TestPortsOfTasks(t *testing.T) {
	table, err := readPorts("../..")
	require.NoError(t, err)
	require.Equal(t, [2]int{20000, 32000}, table.jobs)
	for p, open := range table.open {
		closed := slices.Contains(names.ClosedToTasks(), p.number)
		assert.False(t, closed && (slices.Contains(open, byTask) || slices.Contains(open, byBridge)), "%v is closed to tasks", p)
		assert.Equal(t, slices.Contains(open, byTask), slices.Contains(open, byBridge), "%v: both kinds of tasks reach the same", p)
		if closed && p.kind == "client" {
			want := slices.Contains(names.OpenToTasksOnLoopback(), p.number) && slices.Contains(open, loopback)
			assert.Equal(t, want, slices.Contains(open, taskLoopback), "%v from a task on the loopback address", p)
		}
	}
	assert.Equal(t, []int{names.VaultPort}, table.expected("server", "tcp", byTask))
	assert.Equal(t, []int{names.NomadPort, names.VaultPort, names.ConsulPort}, table.expected("server", "tcp", outside))
	assert.Empty(t, table.expected("server", "tcp", elsewhere))
}

func TestPortsThatDiffer(t *testing.T) {
	table := &documented{jobs: [2]int{20000, 32000}}
	require.NoError(t, table.differs([]int{53, 4646}, []int{53, 4646, 25000}))
	require.EqualError(t, table.differs([]int{53}, []int{53, 22}), "22 is open, but not by the table")
	require.EqualError(t, table.differs([]int{53}, []int{53, 32001}), "32001 is open, but not by the table")
	require.EqualError(t, table.differs([]int{53, 8200}, []int{53}), "8200 is closed, but open by the table")
}

func TestRowsOfPorts(t *testing.T) {
	columns := []string{"machine", "port", outside, network, "what"}
	table := &documented{open: map[port][]string{}}
	require.NoError(t, table.row(columns, []string{"server", "8200/tcp", "open", "–", "Vault"}))
	assert.Equal(t, map[port][]string{{"server", "tcp", 8200}: {outside}}, table.open)
	for _, wrong := range [][]string{
		{"server", "8200/tcp", "open", "open", "a second time"},
		{"server", "8201/sctp", "open", "open", ""},
		{"server", "many/tcp", "open", "open", ""},
		{"server", "8201/tcp", "open"},
	} {
		require.Error(t, table.row(columns, wrong), wrong)
	}
}

// Every service of ours is in the table of scores, beside those of the products.
func TestUnits(t *testing.T) {
	units, err := readUnits("../..")
	require.NoError(t, err)
	var listed []string
	for _, u := range units {
		listed = append(listed, u.name)
	}
	files, err := filepath.Glob("../../internal/machine/parts/*/rootfs/etc/systemd/system/*.service")
	require.NoError(t, err)
	require.Greater(t, len(files), 5)
	for _, file := range append(files, "vault.service", "consul.service", "nomad.service") {
		assert.Contains(t, listed, filepath.Base(file))
	}
}
