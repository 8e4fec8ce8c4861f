package fault_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/localcloud/fault"
)

func TestCallCountsDownMatchingCallsOnly(t *testing.T) {
	var set fault.Set
	_, err := set.Add(fault.Fault{Kind: fault.Error, Method: "post", Path: "/servers/*/actions/*", Times: 2, Status: 503, Code: "unavailable"})
	require.NoError(t, err)

	for _, other := range [][2]string{{"GET", "/servers/1/actions/reboot"}, {"POST", "/servers"}, {"POST", "/networks/1/actions/add_subnet"}} {
		_, struck := set.Call(other[0], other[1])
		assert.False(t, struck, "%v", other)
	}
	for range 2 {
		f, struck := set.Call("POST", "/servers/1/actions/reboot")
		require.True(t, struck)
		assert.Equal(t, 503, f.Status)
	}
	_, struck := set.Call("POST", "/servers/1/actions/reboot")
	assert.False(t, struck, "the third call is past the fault's count")
	assert.Empty(t, set.List())
}

func TestStrikesIsOffByDefault(t *testing.T) {
	var set fault.Set
	assert.False(t, set.Strikes(fault.NoCapacity, "server-1"))
	_, err := set.Add(fault.Fault{Kind: fault.NoCapacity, Times: 1})
	require.NoError(t, err)
	assert.False(t, set.Strikes(fault.BootHangs, "server-1"))
	assert.True(t, set.Strikes(fault.NoCapacity, "server-1"))
	assert.False(t, set.Strikes(fault.NoCapacity, "server-1"))
}

func TestStrikesTheNamedServersOnly(t *testing.T) {
	var set fault.Set
	_, err := set.Add(fault.Fault{Kind: fault.BootHangs, Times: 1, Server: "client-*"})
	require.NoError(t, err)
	assert.False(t, set.Strikes(fault.BootHangs, "server-1"))
	assert.True(t, set.Strikes(fault.BootHangs, "client-2"))
}

func TestHoldEndsWhenFaultsAreCleared(t *testing.T) {
	var set fault.Set
	_, err := set.Add(fault.Fault{Kind: fault.SlowAction, Command: "create_server", Times: 1, DelayMS: time.Hour.Milliseconds()})
	require.NoError(t, err)

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	set.Hold(ctx, "start_server") // Another command is not held.

	released := make(chan struct{})
	go func() {
		set.Hold(ctx, "create_server")
		close(released)
	}()
	require.Eventually(t, func() bool { return len(set.List()) == 0 }, 5*time.Second, time.Millisecond, "the fault strikes")
	select {
	case <-released:
		t.Fatal("the action went on although its delay is not over")
	default:
	}
	set.Clear()
	<-released
	require.NoError(t, ctx.Err(), "Clear, not the deadline, must end the wait")
}

func TestHoldEndsAfterItsDelay(t *testing.T) {
	var set fault.Set
	_, err := set.Add(fault.Fault{Kind: fault.SlowAction, Times: 1, DelayMS: 30})
	require.NoError(t, err)
	start := time.Now()
	set.Hold(context.Background(), "any")
	assert.GreaterOrEqual(t, time.Since(start), 30*time.Millisecond)
}

func TestAddRefuses(t *testing.T) {
	tests := map[string]fault.Fault{
		"fault kind":     {Kind: "rain", Times: 1},
		"fault times":    {Kind: fault.NoCapacity},
		"fault status":   {Kind: fault.Error, Times: 1, Status: 200, Code: "x"},
		"fault code":     {Kind: fault.Error, Times: 1, Status: 500},
		"fault delay_ms": {Kind: fault.SlowAction, Times: 1},
		"fault path":     {Kind: fault.Error, Times: 1, Status: 500, Code: "x", Path: "["},
		"fault server":   {Kind: fault.NoCapacity, Times: 1, Server: "["},
	}
	for want, f := range tests {
		t.Run(want, func(t *testing.T) {
			var set fault.Set
			_, err := set.Add(f)
			assert.ErrorContains(t, err, want)
		})
	}
}
