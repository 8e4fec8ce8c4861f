package stack

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Settle makes the stack ready for an update after one that was killed. It does nothing if none was killed.
func (s *Stack) Settle(ctx context.Context) error {
	if err := s.unlock(ctx); err != nil {
		return err
	}
	return s.run(ctx, "settle", "--stack", Name)
}

// unlock removes locks of the stack whose pulumi no longer runs: one that was killed could not remove its own.
func (s *Stack) unlock(ctx context.Context) error {
	locks, err := filepath.Glob(s.Path("state", ".pulumi", "locks", "organization", "hashistack", Name, "*.json"))
	if err != nil || len(locks) == 0 {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	for _, path := range locks {
		content, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("read a lock of the stack: %w", err)
		}
		var lock struct {
			PID      int    `json:"pid"`
			Hostname string `json:"hostname"`
		}
		if err := json.Unmarshal(content, &lock); err != nil {
			return fmt.Errorf("read lock %s: %w", path, err)
		}
		command, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(lock.PID), "comm"))
		if lock.Hostname != host || err == nil && strings.HasPrefix(string(command), "pulumi") {
			return fmt.Errorf("another pulumi (pid %d on %s) is at work on the stack: wait for it or stop it, then try again",
				lock.PID, lock.Hostname)
		}
		s.say("a pulumi that was killed (pid %d) left its lock: removing it", lock.PID)
	}
	return s.run(ctx, "pulumi", "cancel", "--yes", "--non-interactive")
}
