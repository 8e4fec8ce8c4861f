package access

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"

	"hashistack/internal/machine"
)

// Machines that boot together do not renew together, and all of them well before what credentials.timer warns of.
func TestRenewalsAreSpread(t *testing.T) {
	seen := map[float64]bool{}
	for i := range byte(5) {
		after := renewAfter(machine.Machine{Private: netip.AddrFrom4([4]byte{10, 0, 1, 10 + i})})
		assert.Greater(t, after, 0.59)
		assert.Less(t, after, 0.68)
		seen[after] = true
	}
	assert.Len(t, seen, 5)
}
