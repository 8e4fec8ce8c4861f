package settle

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
)

// state is the part of an exported stack that is needed here.
type state struct {
	Deployment struct {
		Resources []resource  `json:"resources"`
		Pending   []operation `json:"pending_operations"`
	} `json:"deployment"`

	raw     []byte
	project string // folder
	token   string // for the Hetzner API, where the configuration has none
}

type operation struct {
	Type     string   `json:"type"` // creating, updating, deleting, reading or importing
	Resource resource `json:"resource"`
}

type resource struct {
	URN      string         `json:"urn"`
	Type     string         `json:"type"`
	ID       string         `json:"id"`
	Provider string         `json:"provider"` // URN and ID of the provider
	Inputs   map[string]any `json:"inputs"`
}

func (r resource) name() string { return r.URN[strings.LastIndex(r.URN, "::")+2:] }

// text is an input that is a string; empty if it is none or not set.
func (r resource) text(input string) string { return text(r.Inputs[input]) }

// secretKey marks a secret in an exported state; its value is the constant of Pulumi's wire format.
const secretKey = "4dabf18193072939515e22adb298388d" //nolint:gosec // a marker of Pulumi's, no secret

// text unwraps a string. A secret string is an object that holds the plain text as JSON.
func text(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case map[string]any:
		if _, ok := v[secretKey]; !ok {
			return ""
		}
		plain, _ := v["plaintext"].(string)
		var decoded string
		if json.Unmarshal([]byte(plain), &decoded) != nil {
			return ""
		}
		return decoded
	}
	return ""
}

// has tells whether the state holds a resource.
func (s *state) has(urn string) bool {
	for _, r := range s.Deployment.Resources {
		if r.URN == urn {
			return true
		}
	}
	return false
}

// owns tells whether a resource of one of the types has the ID.
func (s *state) owns(id string, types ...string) bool {
	for _, r := range s.Deployment.Resources {
		if r.ID != id {
			continue
		}
		for _, t := range types {
			if r.Type == t {
				return true
			}
		}
	}
	return false
}

// provider finds the configured provider that an operation was done with.
func (s *state) provider(r resource) (resource, error) {
	urn, _, _ := cutLast(r.Provider, "::")
	for _, candidate := range s.Deployment.Resources {
		if candidate.URN == urn {
			return candidate, nil
		}
	}
	return resource{}, fmt.Errorf("the state does not have its provider %s", urn)
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// withoutPending is the state as it was exported, without its list of interrupted operations. It goes through generic
// JSON so that whatever else a newer pulumi stores is kept.
func (s *state) withoutPending() ([]byte, error) {
	var whole map[string]json.RawMessage
	if err := json.Unmarshal(s.raw, &whole); err != nil {
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
