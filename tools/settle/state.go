package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"hashistack/internal/stackstate"
)

// state is a stack as it was exported.
type state struct {
	*apitype.DeploymentV3

	project string // folder
	token   string // for the Hetzner API, where the configuration has none
}

// text is an input that is a string, secret or not; empty if it is none or not set.
func text(r apitype.ResourceV3, input string) string { return stackstate.Text(r.Inputs[input]) }

// owns tells whether a resource of one of the types has the ID.
func (s *state) owns(id string, types ...string) bool {
	return slices.ContainsFunc(s.Resources, func(r apitype.ResourceV3) bool {
		return string(r.ID) == id && slices.Contains(types, string(r.Type))
	})
}

// provider finds the configured provider that an operation was done with.
func (s *state) provider(r apitype.ResourceV3) (apitype.ResourceV3, error) {
	urn := r.Provider // URN and ID of the provider
	if i := strings.LastIndex(urn, "::"); i >= 0 {
		urn = urn[:i]
	}
	for _, candidate := range s.Resources {
		if candidate.URN == resource.URN(urn) {
			return candidate, nil
		}
	}
	return apitype.ResourceV3{}, fmt.Errorf("the state does not have its provider %s", urn)
}

// withoutPending is an exported state without its list of interrupted operations. It goes through generic JSON so that
// whatever else a newer pulumi stores is kept.
func withoutPending(exported []byte) ([]byte, error) {
	var whole map[string]json.RawMessage
	if err := json.Unmarshal(exported, &whole); err != nil {
		return nil, err
	}
	var deployment map[string]json.RawMessage
	if err := json.Unmarshal(whole["deployment"], &deployment); err != nil {
		return nil, err
	}
	delete(deployment, "pending_operations")
	var err error
	if whole["deployment"], err = json.Marshal(deployment); err != nil {
		return nil, err
	}
	return json.Marshal(whole)
}

// inProject resolves a path of the state, which is relative to the project.
func inProject(project, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(project, path)
}
