package nomadclient

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"

	"hashistack/internal/machine"
)

func TestGuard(t *testing.T) {
	text := guard(machine.Cluster{Network: netip.MustParsePrefix("192.168.0.0/20")})
	assert.Contains(t, text, "ip daddr 192.168.0.0/20 jump platform")
	// Tasks run as users that the exec driver does not deny, and those are the users that the guard is for.
	assert.Equal(t, "0-999", drivers()[1].Exec.Config[0].DeniedHostUIDs)
	assert.Contains(t, text, "meta skuid >= 1000 jump task")
}
