package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Down destroys the stack, then the local cloud with all that it made, then everything else of the run. What is left of
// a run that failed or was killed goes as well: an error in destroying the stack is reported and does not stop the rest.
func (s *Stack) Down(ctx context.Context) error {
	var destroyed error
	if s.exists() {
		if s.cloudPID() == 0 {
			s.say("the local cloud does not run: its machines go without `pulumi destroy`")
		} else {
			destroyed = s.destroy(ctx)
		}
	}
	if err := s.RemoveCloud(ctx); err != nil {
		return errors.Join(destroyed, fmt.Errorf("remove the local cloud: %w", err))
	}
	for _, path := range []string{s.Path(), filepath.Join(s.Root, ".ca", Name+".pem")} {
		if err := os.RemoveAll(path); err != nil {
			return errors.Join(destroyed, err)
		}
	}
	if destroyed != nil {
		return fmt.Errorf("nothing is left of the stack and its cloud, but `pulumi destroy` did not succeed before: %w", destroyed)
	}
	return nil
}

func (s *Stack) destroy(ctx context.Context) error {
	if err := s.Settle(ctx); err != nil {
		return err
	}
	if _, err := s.Operate(ctx, Operation{Args: []string{"destroy", "--yes", "--skip-preview"}}); err != nil {
		return err
	}
	// The configuration belongs to the repository.
	return s.run(ctx, "pulumi", "stack", "rm", Name, "--yes", "--preserve-config", "--non-interactive")
}
