package stack

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
)

// powerOn starts the machines that are off, and tells whether there were any. After a reboot of the host all of them are.
func (s *Stack) powerOn(ctx context.Context) (found bool, err error) {
	client, err := s.Hetzner()
	if err != nil {
		return false, err
	}
	return s.powerOnAt(ctx, client)
}

func (s *Stack) powerOnAt(ctx context.Context, client *hcloud.Client) (found bool, err error) {
	off, err := client.Server.AllWithOpts(ctx, hcloud.ServerListOpts{Status: []hcloud.ServerStatus{hcloud.ServerStatusOff}})
	if err != nil {
		return false, fmt.Errorf("look for machines that are off: %w", err)
	}
	var names []string
	var actions []*hcloud.Action
	for _, server := range off {
		action, _, err := client.Server.Poweron(ctx, server)
		if err != nil {
			return false, fmt.Errorf("power on %s: %w", server.Name, err)
		}
		names, actions = append(names, server.Name), append(actions, action)
	}
	if len(names) == 0 {
		return false, nil
	}
	s.say("powering on %s, which were off, as after a reboot of this host", strings.Join(names, ", "))
	if err := client.Action.WaitFor(ctx, actions...); err != nil {
		return false, fmt.Errorf("power on %s: %w", strings.Join(names, ", "), err)
	}
	return true, nil
}

// unseal opens the Vaults again that were powered off, as the runbook says. An update opens them only when they are new.
func (s *Stack) unseal(ctx context.Context) error {
	state, err := s.Export(ctx, false)
	if err != nil || !bytes.Contains(state, []byte("hashistack:index:VaultUnseal::")) {
		return err // none has been opened yet, or they open themselves
	}
	_, err = s.Operate(ctx, Operation{Args: []string{"up", "--yes", "--skip-preview", "--refresh", "--target", "**:VaultUnseal::**"}})
	return err
}
