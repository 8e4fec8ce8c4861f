//go:build e2e

package scenario

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/e2e/stack"
	"hashistack/internal/names"
)

// noRoad is a table of this host's packet filter that refuses what is sent to the machines' APIs, and counts it.
const noRoad = "hashistack_no_road"

// previewAlone makes a preview as a runner does that has a fresh clone and no road to the machines. It must not even try.
func (r *run) previewAlone(t *testing.T) {
	var machines []string
	for _, address := range r.outputs.Machines {
		machines = append(machines, address)
	}
	nft(t, fmt.Sprintf(`table inet %s {
		chain output {
			type filter hook output priority 0
			ip daddr { %s } tcp dport { %d, %d, %d } counter reject
		}
	}`, noRoad, strings.Join(machines, ", "), names.VaultPort, names.ConsulPort, names.NomadPort))
	t.Cleanup(func() { nft(t, "delete table inet "+noRoad) })
	// What a clone has not, because git does not.
	trusted := filepath.Join(r.stack.Root, ".ca")
	require.NoError(t, os.Rename(trusted, trusted+".away"))
	_, err := r.stack.Operate(t.Context(), stack.Operation{Args: []string{"preview", "--expect-no-changes"}})
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(trusted)) // the preview may have written it
	require.NoError(t, os.Rename(trusted+".away", trusted))
	assert.Zero(t, refused(t), "packets to the APIs of the machines")

	// Its twin: an update that refreshes asks them.
	_, err = r.stack.Operate(t.Context(), stack.Operation{Args: []string{"refresh", "--preview-only", "--target", "**:VaultUnseal::**"}})
	require.NoError(t, err, "our own provider warns")
	assert.NotZero(t, refused(t), "packets to the APIs of the machines")
}

// refused counts the packets that the table refused.
func refused(t *testing.T) (packets int) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "nft", "--json", "list", "table", "inet", noRoad).CombinedOutput()
	require.NoError(t, err, string(out))
	var listing struct {
		Nftables []struct {
			Rule *struct {
				Expr []struct {
					Counter *struct{ Packets int }
				}
			}
		}
	}
	require.NoError(t, json.Unmarshal(out, &listing))
	counters := 0
	for _, object := range listing.Nftables {
		if object.Rule == nil {
			continue
		}
		for _, expression := range object.Rule.Expr {
			if expression.Counter != nil {
				counters++
				packets += expression.Counter.Packets
			}
		}
	}
	require.Equal(t, 1, counters, string(out))
	return packets
}

func nft(t *testing.T, commands string) {
	t.Helper()
	cmd := exec.Command("nft", "-f", "-") // also when the test has ended
	cmd.Stdin = strings.NewReader(commands)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
}
