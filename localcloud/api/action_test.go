package api_test

import (
	"errors"
	"testing"
	"time"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/localcloud/fault"
	"hashistack/localcloud/machine"
)

// hold keeps the next action with this command from starting until release is called.
func (c *cloud) hold(command string) (release func()) {
	c.t.Helper()
	_, err := c.faults.Add(fault.Fault{Kind: fault.SlowAction, Command: command, Times: 1, DelayMS: time.Minute.Milliseconds()})
	require.NoError(c.t, err)
	return c.faults.Clear
}

// held waits until the fault has struck, so that its release cannot come too early.
func (c *cloud) held() {
	c.t.Helper()
	require.Eventually(c.t, func() bool { return len(c.faults.List()) == 0 }, 5*time.Second, time.Millisecond, "an action is held")
}

func TestServerIsLockedWhileAnActionRuns(t *testing.T) {
	c := startCloud(t)
	n := c.network("net")
	release := c.hold("create_server")
	result, _, err := c.Server.Create(c.ctx, serverOpts("s"))
	require.NoError(t, err)
	c.held()
	require.Len(t, result.NextActions, 1)
	assert.Equal(t, "create_server", result.Action.Command)
	assert.Equal(t, "start_server", result.NextActions[0].Command)
	assert.Equal(t, hcloud.ActionStatusRunning, result.Action.Status)
	assert.Equal(t, []*hcloud.ActionResource{{ID: result.Server.ID, Type: hcloud.ActionResourceTypeServer}}, result.Action.Resources)

	s := c.getServer(result.Server.ID)
	assert.True(t, s.Locked)
	assert.Equal(t, hcloud.ServerStatusInitializing, s.Status)
	_, _, err = c.Server.DeleteWithResult(c.ctx, s)
	requireCode(t, err, hcloud.ErrorCodeLocked, "create_server")
	_, _, err = c.Server.Reboot(c.ctx, s)
	requireCode(t, err, hcloud.ErrorCodeLocked)
	_, _, err = c.Server.AttachToNetwork(c.ctx, s, hcloud.ServerAttachToNetworkOpts{Network: n})
	requireCode(t, err, hcloud.ErrorCodeLocked)
	_, _, err = c.Server.ChangeProtection(c.ctx, s, hcloud.ServerChangeProtectionOpts{Delete: hcloud.Ptr(true), Rebuild: hcloud.Ptr(true)})
	requireCode(t, err, hcloud.ErrorCodeLocked)
	_, _, err = c.Server.Update(c.ctx, s, hcloud.ServerUpdateOpts{Labels: map[string]string{"a": "b"}})
	require.NoError(t, err, "labels can be changed at any time")

	release()
	c.wait(append(result.NextActions, result.Action)...)
	s = c.getServer(s.ID)
	assert.False(t, s.Locked)
	assert.Equal(t, hcloud.ServerStatusRunning, s.Status)
}

func TestStatusWhileActionsRun(t *testing.T) {
	c := startCloud(t)
	s := c.server("s")
	tests := []struct {
		command string
		start   func() *hcloud.Action
		during  hcloud.ServerStatus
		after   hcloud.ServerStatus
	}{
		{"stop_server", func() *hcloud.Action { a, _, err := c.Server.Poweroff(c.ctx, s); require.NoError(t, err); return a }, hcloud.ServerStatusStopping, hcloud.ServerStatusOff},
		{"start_server", func() *hcloud.Action { a, _, err := c.Server.Poweron(c.ctx, s); require.NoError(t, err); return a }, hcloud.ServerStatusStarting, hcloud.ServerStatusRunning},
		{"reboot_server", func() *hcloud.Action { a, _, err := c.Server.Reboot(c.ctx, s); require.NoError(t, err); return a }, hcloud.ServerStatusRunning, hcloud.ServerStatusRunning},
		{"reset_server", func() *hcloud.Action { a, _, err := c.Server.Reset(c.ctx, s); require.NoError(t, err); return a }, hcloud.ServerStatusRunning, hcloud.ServerStatusRunning},
		{"rebuild_server", func() *hcloud.Action {
			r, _, err := c.Server.RebuildWithResult(c.ctx, s, hcloud.ServerRebuildOpts{Image: &hcloud.Image{Name: "debian-12"}})
			require.NoError(t, err)
			return r.Action
		}, hcloud.ServerStatusRebuilding, hcloud.ServerStatusRunning},
		{"change_server_type", func() *hcloud.Action {
			off, _, err := c.Server.Poweroff(c.ctx, s)
			require.NoError(t, err)
			c.wait(off)
			a, _, err := c.Server.ChangeType(c.ctx, s, hcloud.ServerChangeTypeOpts{ServerType: &hcloud.ServerType{Name: "cx33"}})
			require.NoError(t, err)
			return a
		}, hcloud.ServerStatusMigrating, hcloud.ServerStatusRunning},
		{"shutdown_server", func() *hcloud.Action { a, _, err := c.Server.Shutdown(c.ctx, s); require.NoError(t, err); return a }, hcloud.ServerStatusRunning, hcloud.ServerStatusOff},
	}
	for _, tt := range tests {
		t.Run(tt.command, func(t *testing.T) {
			release := c.hold(tt.command)
			act := tt.start()
			assert.Equal(t, tt.command, act.Command)
			c.held()
			assert.Equal(t, tt.during, c.getServer(s.ID).Status)
			release()
			c.wait(act)
			assert.Equal(t, tt.after, c.getServer(s.ID).Status)
		})
	}
}

func TestServerStatusFollowsItsMachine(t *testing.T) {
	c := startCloud(t)
	s := c.server("s")
	require.NoError(t, c.runtime.set("guest powers off", s.ID, machine.Off))
	assert.Equal(t, hcloud.ServerStatusOff, c.getServer(s.ID).Status)
	list, _, err := c.Server.List(c.ctx, hcloud.ServerListOpts{Status: []hcloud.ServerStatus{hcloud.ServerStatusOff}})
	require.NoError(t, err)
	assert.Len(t, list, 1)
	c.runtime.fail("State", errors.New("engine is gone"))
	assert.Equal(t, hcloud.ServerStatusUnknown, c.getServer(s.ID).Status)
}

func TestActionThatFails(t *testing.T) {
	c := startCloud(t)
	c.runtime.fail("Create", errors.New("disk full"))
	result, _, err := c.Server.Create(c.ctx, serverOpts("s"))
	require.NoError(t, err)
	err = c.Action.WaitFor(c.ctx, result.Action)
	require.ErrorContains(t, err, "disk full")
	err = c.Action.WaitFor(c.ctx, result.NextActions...)
	require.ErrorContains(t, err, "was not created", "what follows fails too")

	act, _, err := c.Action.GetByID(c.ctx, result.Action.ID)
	require.NoError(t, err)
	assert.Equal(t, hcloud.ActionStatusError, act.Status)
	assert.Equal(t, "action_failed", act.ErrorCode)
	assert.Equal(t, 100, act.Progress)
	assert.False(t, act.Finished.IsZero())

	s := c.getServer(result.Server.ID)
	assert.Equal(t, hcloud.ServerStatusOff, s.Status)
	assert.False(t, s.Locked)
	c.deleteServer(s)
}

func TestReadingActions(t *testing.T) {
	c := startCloud(t)
	first, second := c.server("first"), c.server("second")
	all, err := c.Server.Action.All(c.ctx, hcloud.ActionListOpts{})
	require.NoError(t, err)
	require.Len(t, all, 4)
	of, err := c.Server.Action.AllFor(c.ctx, first, hcloud.ActionListOpts{Sort: []string{"id:desc"}})
	require.NoError(t, err)
	require.Len(t, of, 2)
	assert.Equal(t, "start_server", of[0].Command)

	one, _, err := c.Server.Action.GetByID(c.ctx, of[0].ID)
	require.NoError(t, err)
	assert.Equal(t, of[0].ID, one.ID)
	none, _, err := c.Network.Action.GetByID(c.ctx, of[0].ID)
	require.NoError(t, err)
	assert.Nil(t, none, "it is no action of a network")
	_ = second

	batch, err := c.Action.AllWithOpts(c.ctx, hcloud.ActionListOpts{ID: []int64{all[0].ID, all[3].ID, 1}})
	require.NoError(t, err)
	assert.Len(t, batch, 2)
	batch, err = c.Action.AllWithOpts(c.ctx, hcloud.ActionListOpts{ID: []int64{all[0].ID}, Status: []hcloud.ActionStatus{hcloud.ActionStatusError}})
	require.NoError(t, err)
	assert.Empty(t, batch)
	for _, sort := range []string{"command", "status:desc", "started", "finished", "id"} {
		sorted, err := c.Server.Action.All(c.ctx, hcloud.ActionListOpts{Sort: []string{sort}})
		require.NoError(t, err, sort)
		assert.Len(t, sorted, 4, sort)
	}
}

func TestNoCapacity(t *testing.T) {
	c := startCloud(t)
	_, err := c.faults.Add(fault.Fault{Kind: fault.NoCapacity, Times: 1})
	require.NoError(t, err)
	_, _, err = c.Server.Create(c.ctx, serverOpts("s"))
	requireCode(t, err, hcloud.ErrorCodeResourceUnavailable, "cx23", "fsn1")
	ips, err := c.PrimaryIP.All(c.ctx)
	require.NoError(t, err)
	assert.Empty(t, ips)
	c.server("s")
}

func TestBootHangs(t *testing.T) {
	c := startCloud(t)
	_, err := c.faults.Add(fault.Fault{Kind: fault.BootHangs, Times: 1})
	require.NoError(t, err)
	s := c.server("s", func(o *hcloud.ServerCreateOpts) { o.UserData = "#cloud-config\n" })
	assert.Equal(t, hcloud.ServerStatusRunning, s.Status, "as at Hetzner, who cannot know either")
	m, _ := c.runtime.machine(s.ID)
	assert.Contains(t, m.UserData, "infinity")
	m, _ = c.runtime.machine(c.server("next", func(o *hcloud.ServerCreateOpts) { o.UserData = "#cloud-config\n" }).ID)
	assert.Equal(t, "#cloud-config\n", m.UserData)
}
