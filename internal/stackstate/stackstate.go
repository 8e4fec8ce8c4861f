// Package stackstate reads the state of a stack: what `pulumi stack export` prints, and what a backend keeps in a file.
package stackstate

import (
	"encoding/json"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// Decode reads what `pulumi stack export` prints.
func Decode(exported []byte) (*apitype.DeploymentV3, error) {
	var outer apitype.UntypedDeployment
	if err := json.Unmarshal(exported, &outer); err != nil {
		return nil, fmt.Errorf("decode the exported state: %w", err)
	}
	if err := known(outer.Version); err != nil {
		return nil, err
	}
	var state apitype.DeploymentV3
	if err := json.Unmarshal(outer.Deployment, &state); err != nil {
		return nil, fmt.Errorf("decode the exported state: %w", err)
	}
	return &state, nil
}

// DecodeFile reads the file in which a backend keeps a stack. Its secrets are encrypted. A stack that was never updated
// has an empty state.
func DecodeFile(content []byte) (*apitype.DeploymentV3, error) {
	var outer apitype.VersionedCheckpoint
	if err := json.Unmarshal(content, &outer); err != nil {
		return nil, fmt.Errorf("decode the stack's file: %w", err)
	}
	if err := known(outer.Version); err != nil {
		return nil, err
	}
	var checkpoint apitype.CheckpointV3
	if err := json.Unmarshal(outer.Checkpoint, &checkpoint); err != nil {
		return nil, fmt.Errorf("decode the stack's file: %w", err)
	}
	if checkpoint.Latest == nil {
		return &apitype.DeploymentV3{}, nil
	}
	return checkpoint.Latest, nil
}

// known refuses versions whose fields may mean something else. Version 4 is 3 with a list of features beside it.
func known(version int) error {
	if version < apitype.DeploymentSchemaVersionCurrent || version > apitype.DeploymentSchemaVersionLatest {
		return fmt.Errorf("the stack's state has version %d: must be %d or %d; use a pulumi of the version that tools/pulumi pins", version,
			apitype.DeploymentSchemaVersionCurrent, apitype.DeploymentSchemaVersionLatest)
	}
	return nil
}

// Has tells whether a state holds a resource.
func Has(state *apitype.DeploymentV3, urn resource.URN) bool {
	for _, r := range state.Resources {
		if r.URN == urn {
			return true
		}
	}
	return false
}

// Plain is a value without what marks it as a secret: a secret is an object that holds the value as JSON. It is nil for a
// secret that is encrypted.
func Plain(value any) (plain any, secret bool) {
	object, ok := value.(map[string]any)
	if !ok || object[resource.SigKey] != resource.SecretSig {
		return value, false
	}
	text, _ := object["plaintext"].(string)
	if json.Unmarshal([]byte(text), &plain) != nil {
		return nil, true
	}
	return plain, true
}

// Text is a value that is a string, secret or not; empty for any other.
func Text(value any) string {
	plain, _ := Plain(value)
	text, _ := plain.(string)
	return text
}

// Secrets calls each with every secret below a value, in plain text.
func Secrets(value any, each func(plain any)) {
	if plain, secret := Plain(value); secret {
		each(plain)
		return
	}
	switch v := value.(type) {
	case []any:
		for _, element := range v {
			Secrets(element, each)
		}
	case map[string]any:
		for _, element := range v {
			Secrets(element, each)
		}
	}
}
