package stack

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
)

// Credentials reads the outputs of an unfinished stack from its state. The outputs themselves are written only when an
// update ends.
func (s *Stack) Credentials(ctx context.Context) (*Outputs, error) {
	content, err := s.Export(ctx, true)
	if err != nil {
		return nil, err
	}
	var state struct {
		Deployment struct {
			Resources []struct {
				Type   string                     `json:"type"`
				Inputs map[string]json.RawMessage `json:"inputs"`
			} `json:"resources"`
		} `json:"deployment"`
	}
	if err := json.Unmarshal(content, &state); err != nil {
		return nil, fmt.Errorf("decode the stack's state: %w", err)
	}
	out := &Outputs{CAFile: filepath.Join(s.Root, ".ca", Name+".pem")}
	for _, r := range state.Deployment.Resources {
		switch r.Type {
		case "pulumi:providers:vault":
			out.VaultAddress, out.VaultToken = plain(r.Inputs["address"]), plain(r.Inputs["token"])
		case "pulumi:providers:consul":
			out.ConsulAddress, out.ConsulToken = plain(r.Inputs["address"]), plain(r.Inputs["token"])
		case "pulumi:providers:nomad":
			out.NomadAddress, out.NomadToken = plain(r.Inputs["address"]), plain(r.Inputs["secretId"])
		}
	}
	return out, nil
}

// plain unwraps a string. A secret string is an object that holds it as JSON.
func plain(raw json.RawMessage) string {
	var value string
	if json.Unmarshal(raw, &value) == nil {
		return value
	}
	var secret struct {
		Plaintext string `json:"plaintext"`
	}
	if json.Unmarshal(raw, &secret) != nil || json.Unmarshal([]byte(secret.Plaintext), &value) != nil {
		return ""
	}
	return value
}
