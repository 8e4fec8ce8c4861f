// Package agentconfig holds the configuration of the products' agents as Go types and renders it as JSON.
//
// JSON, because the products read it exactly as written, while generated HCL can be read differently from what was
// meant: Nomad's agent and Vault parse HCL 1, where a "${" in a string starts an interpolation. For the same parsers
// every block is a list, even of one: that is how HCL 1 expresses blocks in JSON. A block with a label is a list of
// objects with the label as their only key, whose value is no list. Consul reads plain objects.
//
// Only what this platform sets has a field; whatever a field's comment does not explain is in the product's reference.
package agentconfig

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// Duration is a time.Duration that JSON shows as the products write it: "10s", "1h0m0s".
type Duration time.Duration

// MarshalJSON implements json.Marshaler.
func (d Duration) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Duration(d).String())
}

// JSON renders a configuration of this package, indented and with a newline at its end.
func JSON(config any) (string, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false) // the files are read by people too
	encoder.SetIndent("", " ")
	if err := encoder.Encode(config); err != nil {
		return "", fmt.Errorf("encode %T: %w", config, err)
	}
	return b.String(), nil
}
