// Package policytest reads access rules of Vault, Consul and Nomad in tests.
package policytest

import (
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Parse parses a policy.
func Parse(t *testing.T, name, policy string) *hclsyntax.Body {
	t.Helper()
	file, diagnostics := hclparse.NewParser().ParseHCL([]byte(policy), name)
	require.False(t, diagnostics.HasErrors(), diagnostics.Error())
	return file.Body.(*hclsyntax.Body)
}

// Capabilities are those of each path of a Vault policy.
func Capabilities(t *testing.T, name, policy string) map[string][]string {
	t.Helper()
	paths := map[string][]string{}
	for _, block := range Parse(t, name, policy).Blocks {
		require.Equal(t, "path", block.Type)
		require.Len(t, block.Labels, 1)
		assert.NotContains(t, paths, block.Labels[0], "a path stands twice in %s", name)
		attribute := block.Body.Attributes["capabilities"]
		require.NotNil(t, attribute, "%s has no capabilities", block.Labels[0])
		paths[block.Labels[0]] = texts(t, attribute)
	}
	return paths
}

// Parameters are those that each path of a Vault policy allows, for the paths that do not allow all.
func Parameters(t *testing.T, name, policy string) map[string]map[string][]string {
	t.Helper()
	paths := map[string]map[string][]string{}
	for _, block := range Parse(t, name, policy).Blocks {
		attribute := block.Body.Attributes["allowed_parameters"]
		if attribute == nil {
			continue
		}
		value, diagnostics := attribute.Expr.Value(&hcl.EvalContext{})
		require.False(t, diagnostics.HasErrors(), diagnostics.Error())
		allowed := map[string][]string{}
		for parameter, values := range value.AsValueMap() {
			for _, one := range values.AsValueSlice() {
				allowed[parameter] = append(allowed[parameter], one.AsString())
			}
		}
		paths[block.Labels[0]] = allowed
	}
	return paths
}

// What each product knows. Products ignore or refuse what they do not know, but only once a policy is written to them.
var (
	blocks = map[string][]string{
		"vault":  {"path"},
		"consul": {"agent", "agent_prefix", "node", "node_prefix", "service", "service_prefix", "query_prefix", "key_prefix", "session_prefix"},
		"nomad":  {"namespace", "node", "node_pool"},
	}
	attributes = map[string][]string{
		"vault":  {"capabilities", "allowed_parameters"},
		"consul": {"policy", "intentions"},
		"nomad":  {"policy", "capabilities"},
	}
	words = map[string][]string{
		"vault":  {"create", "read", "update", "patch", "delete", "list", "deny"},
		"consul": {"read", "write"},
		"nomad": {
			"read", "list-jobs", "parse-job", "read-job", "submit-job", "dispatch-job", "scale-job", "read-job-scaling",
			"list-scaling-policies", "read-scaling-policy", "read-logs", "alloc-lifecycle",
		},
	}
)

// Check parses a policy of "vault", "consul" or "nomad" and fails if it has words that the product does not know, or grants
// everything.
func Check(t *testing.T, product, name, policy string) {
	t.Helper()
	assert.NotContains(t, policy, "[[", "%s is not filled in", name)
	body := Parse(t, name, policy)
	assert.NotEmpty(t, body.Blocks, name)
	for attribute, value := range body.Attributes {
		assert.Equal(t, "mesh", attribute, "what %s grants beyond nodes and services", name)
		assert.Equal(t, []string{"write"}, texts(t, value), name)
	}
	for _, block := range body.Blocks {
		assert.Contains(t, blocks[product], block.Type, name)
		for attribute, value := range block.Body.Attributes {
			assert.Contains(t, attributes[product], attribute, name)
			if attribute == "allowed_parameters" {
				continue // an object
			}
			assert.Subset(t, words[product], texts(t, value), name)
		}
	}
	if product == "vault" {
		for path, capabilities := range Capabilities(t, name, policy) {
			assert.NotContains(t, capabilities, "sudo", "%s: %s", name, path)
			assert.NotEqual(t, "*", path, name)
		}
	}
}

// texts are the words of an attribute, be it a list or one.
func texts(t *testing.T, attribute *hclsyntax.Attribute) []string {
	t.Helper()
	value, diagnostics := attribute.Expr.Value(&hcl.EvalContext{})
	require.False(t, diagnostics.HasErrors(), diagnostics.Error())
	if !value.CanIterateElements() {
		return []string{value.AsString()}
	}
	words := []string{}
	for _, word := range value.AsValueSlice() {
		words = append(words, word.AsString())
	}
	return words
}
