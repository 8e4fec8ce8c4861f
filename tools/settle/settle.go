package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"

	"hashistack/internal/stackstate"
)

// Options say which stack is settled.
type Options struct {
	// Project is the folder with Pulumi.yaml.
	Project string
	// Command makes a command of the pulumi CLI for the stack, to be run in Project.
	Command func(ctx context.Context, args ...string) *exec.Cmd
	// Token is for the Hetzner API, where the stack's configuration has none.
	Token string
	// Out receives a line for each operation.
	Out io.Writer
}

// Run settles the stack. It changes nothing where an earlier update ended by itself.
func Run(ctx context.Context, opts Options) error {
	exported, err := opts.export(ctx)
	if err != nil {
		return err
	}
	encrypted, err := stackstate.Decode(exported)
	if err != nil || len(encrypted.PendingOperations) == 0 {
		return err
	}
	fmt.Fprintf(opts.Out, "an update was interrupted in the middle of %d operations; settling them\n", len(encrypted.PendingOperations))
	// First make sure that nothing is created any more. The worst case is a plugin that waits to initialise Vault: the
	// keys would be in an answer that nobody receives.
	if err := stopOrphans(ctx, opts.Project, opts.Out); err != nil {
		return fmt.Errorf("stop what the killed update left running: %w", err)
	}
	state, err := opts.state(ctx)
	if err != nil {
		return err
	}
	var failed []error
	for _, op := range inOrder(state.PendingOperations) {
		outcome, err := state.settle(ctx, op)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s of %s %s: %w", op.Type, op.Resource.Type, op.Resource.URN.Name(), err))
			continue
		}
		fmt.Fprintf(opts.Out, "  %s %s %s: %s\n", op.Type, op.Resource.Type, op.Resource.URN.Name(), outcome)
	}
	if len(failed) > 0 {
		return fmt.Errorf("the state still lists the operations that were interrupted: %w", errors.Join(failed...))
	}
	return opts.forget(ctx)
}

// inOrder puts machines first: deleting a machine also removes what was begun inside of it.
func inOrder(ops []apitype.OperationV2) []apitype.OperationV2 {
	sorted := slices.Clone(ops)
	slices.SortStableFunc(sorted, func(a, b apitype.OperationV2) int {
		rank := func(op apitype.OperationV2) int {
			if op.Resource.Type == "hcloud:index/server:Server" {
				return 0
			}
			return 1
		}
		return rank(a) - rank(b)
	})
	return sorted
}

// settle brings one interrupted operation to an end and says how.
func (s *state) settle(ctx context.Context, op apitype.OperationV2) (outcome string, err error) {
	switch op.Type {
	case apitype.OperationTypeCreating:
	case apitype.OperationTypeUpdating, apitype.OperationTypeDeleting:
		return "the next update does it again", nil
	default: // reading, importing
		return "nothing was changed by it", nil
	}
	// That the state has a resource of that name tells nothing: it may be the one that was being replaced. What the stack has
	// is told by its ID.
	kind, _, _ := strings.Cut(string(op.Resource.Type), ":")
	find, ok := map[string]func(context.Context, *state, apitype.ResourceV3) (orphan, error){
		"hcloud": findHetzner, "vault": findVault, "consul": findConsul, "nomad": findNomad,
	}[kind]
	if !ok {
		// tls and random make values and nothing else; our own provider finds out itself how far it came.
		return "nothing to clean up, the next update creates it", nil
	}
	found, err := find(ctx, s, op.Resource)
	if err != nil {
		return "", err
	}
	if found == nil {
		return "was not created, is the stack's by now, or is simply written again", nil
	}
	if err := found.remove(ctx); err != nil {
		return "", fmt.Errorf("delete %s, which the interrupted update created: %w", found, err)
	}
	return fmt.Sprintf("deleted %s, which nothing refers to yet", found), nil
}

// orphan is what an interrupted create made; nil if it made nothing.
type orphan interface {
	fmt.Stringer
	remove(ctx context.Context) error
}

// thing is an orphan together with the function that removes it.
type thing struct {
	description string
	delete      func(ctx context.Context) error
}

func (t thing) String() string                   { return t.description }
func (t thing) remove(ctx context.Context) error { return t.delete(ctx) }

// state reads the stack's state, with its secrets in plain text.
func (o Options) state(ctx context.Context) (*state, error) {
	exported, err := o.export(ctx, "--show-secrets")
	if err != nil {
		return nil, err
	}
	decoded, err := stackstate.Decode(exported)
	if err != nil {
		return nil, err
	}
	return &state{decoded, o.Project, o.Token}, nil
}

func (o Options) export(ctx context.Context, flags ...string) ([]byte, error) {
	exported, err := output(o.Command(ctx, append([]string{"stack", "export"}, flags...)...))
	if err != nil {
		return nil, fmt.Errorf("export the stack's state: %w", err)
	}
	return exported, nil
}

// forget removes the list of interrupted operations from the state and nothing else.
func (o Options) forget(ctx context.Context) error {
	exported, err := o.export(ctx)
	if err != nil {
		return err
	}
	content, err := withoutPending(exported)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "settle-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // what is left of it is in no one's way
	file := filepath.Join(dir, "state.json")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		return err
	}
	if _, err := output(o.Command(ctx, "stack", "import", "--file", file)); err != nil {
		return fmt.Errorf("import the settled state: %w", err)
	}
	return nil
}

func output(cmd *exec.Cmd) ([]byte, error) {
	var said strings.Builder
	cmd.Stderr = &said
	content, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(said.String()))
	}
	return content, nil
}
