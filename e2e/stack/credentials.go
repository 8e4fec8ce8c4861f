package stack

import (
	"context"
	"path/filepath"

	"hashistack/internal/stackstate"
)

// Credentials reads the outputs of an unfinished stack from its state. The outputs themselves are written only when an
// update ends.
func (s *Stack) Credentials(ctx context.Context) (*Outputs, error) {
	state, err := s.State(ctx, true)
	if err != nil {
		return nil, err
	}
	out := &Outputs{CAFile: filepath.Join(s.Root, ".ca", Name+".pem")}
	for _, r := range state.Resources {
		input := func(name string) string { return stackstate.Text(r.Inputs[name]) }
		switch r.Type {
		case "pulumi:providers:vault":
			out.VaultAddress, out.VaultToken = input("address"), input("token")
		case "pulumi:providers:consul":
			out.ConsulAddress, out.ConsulToken = input("address"), input("token")
		case "pulumi:providers:nomad":
			out.NomadAddress, out.NomadToken = input("address"), input("secretId")
		}
	}
	return out, nil
}
