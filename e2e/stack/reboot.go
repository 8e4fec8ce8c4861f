package stack

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"hashistack/internal/poll"
)

// bootTimeout bounds the restart of a machine that is installed already.
const bootTimeout = 2 * time.Minute

// Reboot restarts a machine through the cloud's API and waits until it has booted.
func (s *Stack) Reboot(ctx context.Context, machine string) error {
	client, err := s.Hetzner()
	if err != nil {
		return err
	}
	server, _, err := client.Server.GetByName(ctx, machine)
	if err == nil && server == nil {
		err = errors.New("there is no such server")
	}
	if err != nil {
		return fmt.Errorf("reboot %s: %w", machine, err)
	}
	before, err := s.bootTime(ctx, machine)
	if err != nil {
		return err
	}
	action, _, err := client.Server.Reboot(ctx, server)
	if err != nil {
		return fmt.Errorf("reboot %s: %w", machine, err)
	}
	if err := client.Action.WaitFor(ctx, action); err != nil {
		return fmt.Errorf("reboot %s: %w", machine, err)
	}
	return poll.Until(ctx, bootTimeout, machine+" to restart", func(ctx context.Context) error {
		now, err := s.bootTime(ctx, machine)
		if err == nil && now == before {
			err = errors.New("it has not gone down yet")
		}
		if err != nil {
			return err
		}
		_, err = s.OnMachine(ctx, machine, "systemctl", "is-active", "--quiet", "multi-user.target")
		return err
	})
}

// bootTime is when systemd started on a machine, in its own words.
func (s *Stack) bootTime(ctx context.Context, machine string) (string, error) {
	at, err := s.OnMachine(ctx, machine, "systemctl", "show", "--property=UserspaceTimestamp", "--value")
	return strings.TrimSpace(string(at)), err
}
