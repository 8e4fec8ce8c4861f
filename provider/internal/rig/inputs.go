package rig

import (
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/property"
)

// With returns a copy of inputs with one more or another value. A path like "cluster.nodes" leads into objects, which are
// copied too. A nil value takes the input away.
func With(inputs map[string]any, path string, value any) map[string]any {
	changed := map[string]any{}
	for k, v := range inputs {
		changed[k] = v
	}
	name, rest, nested := strings.Cut(path, ".")
	switch {
	case nested:
		object, _ := inputs[name].(map[string]any)
		changed[name] = With(object, rest, value)
	case value == nil:
		delete(changed, name)
	default:
		changed[name] = value
	}
	return changed
}

// Nodes are the servers server-1, server-2 and so on.
func Nodes(addresses ...string) []any {
	var list []any
	for i, address := range addresses {
		list = append(list, map[string]any{"name": "server-" + string(rune('1'+i)), "address": address})
	}
	return list
}

// Cluster is a cluster without a token.
func Cluster(ca Authority, addresses ...string) map[string]any {
	return map[string]any{"nodes": Nodes(addresses...), "caPem": ca.PEM}
}

// ClusterWith is a cluster with a token.
func ClusterWith(ca Authority, token string, addresses ...string) map[string]any {
	return With(Cluster(ca, addresses...), "token", token)
}

// Good are valid inputs of each resource; nothing listens at their addresses.
func Good(t *testing.T) map[string]map[string]any {
	t.Helper()
	ca := NewAuthority(t)
	three := []string{"https://10.0.1.10:8200", "https://10.0.1.11:8200", "https://10.0.1.12:8200"}
	acl := map[string]any{"cluster": Cluster(ca, three...), "expectedVoters": 3, "bootstrapSecret": Secret}
	gossip := map[string]any{"product": "consul", "cluster": ClusterWith(ca, Secret, three...), "key": GossipKey}
	return map[string]map[string]any{
		"VaultInit":       {"cluster": Cluster(ca, three...)},
		"VaultUnseal":     {"node": Nodes(three...)[0], "caPem": ca.PEM, "keys": []any{"a2V5"}},
		"ConsulBootstrap": acl,
		"NomadBootstrap":  acl,
		"GossipInstall":   gossip,
		"GossipUse":       gossip,
		"ConsulToken": {
			"cluster": ClusterWith(ca, Secret, three...), "description": "an engine", "policies": []any{"global-management"},
			"secretId": "99999999-8888-4777-8666-555555555555",
		},
		"NomadIntroduction": {
			"machine": "client-1", "machineId": "4711", "nodePool": "batch", "mount": "platform", "secret": "introductions/client-1",
			"nomad": ClusterWith(ca, Secret, three...), "vault": ClusterWith(ca, "hvs.root", three...),
		},
		"StackIdentity": {
			"neighbour": "", "location": "fsn1", "region": "global", "network": "10.0.0.0/16", "pools": map[string]any{
				"server": map[string]any{
					"subnet": "10.0.1.0/24", "roles": []any{"vault", "nomad-server"}, "servers": []any{"10.0.1.10", "10.0.1.11", "10.0.1.12"},
				},
				"client": map[string]any{"subnet": "10.0.2.0/24"},
			},
		},
		"Membership": {
			"machine": "server-1", "machineId": "4711", "lane": "servers", "region": "global",
			"vault": ClusterWith(ca, "hvs.root", three...), "unsealKeys": []any{"a2V5"},
			"consul": ClusterWith(ca, Secret, three...), "nomad": ClusterWith(ca, Secret, three...),
			"madeOf": map[string]any{"/etc/one": "4355a46b19d3"},
		},
	}
}

// Outputs are the names of all outputs of each resource, its inputs among them.
var Outputs = map[string][]string{
	"VaultInit":         {"cluster", "shares", "threshold", "timeout", "rootToken", "unsealKeys", "recoveryKeys"},
	"VaultUnseal":       {"node", "keys", "caPem", "timeout", "sealed"},
	"ConsulBootstrap":   {"cluster", "expectedVoters", "bootstrapSecret", "timeout", "accessorId", "token"},
	"NomadBootstrap":    {"cluster", "expectedVoters", "bootstrapSecret", "timeout", "accessorId", "token"},
	"GossipInstall":     {"product", "cluster", "key", "timeout"},
	"GossipUse":         {"product", "cluster", "key", "timeout", "sole"},
	"ConsulToken":       {"cluster", "description", "policies", "secretId", "timeout", "accessorId", "token"},
	"StackIdentity":     {"location", "region", "network", "pools", "neighbour"},
	"NomadIntroduction": {"machine", "machineId", "nodePool", "nomad", "vault", "mount", "secret", "timeout"},
	"Membership": {
		"machine", "machineId", "lane", "atOnce", "region", "vault", "unsealKeys", "consul", "nomad", "nomadClient", "timeout", "madeOf", "nodeId",
	},
}

// made are the outputs that are no inputs.
var made = map[string]map[string]property.Value{
	"VaultInit": {
		"rootToken":    property.New("the rootToken").WithSecret(true),
		"unsealKeys":   property.New([]property.Value{property.New("the unsealKeys")}).WithSecret(true),
		"recoveryKeys": property.New([]property.Value{property.New("the recoveryKeys")}).WithSecret(true),
	},
	"VaultUnseal":     {"sealed": property.New(false)},
	"ConsulBootstrap": {"accessorId": property.New("the accessorId"), "token": property.New("the token").WithSecret(true)},
	"NomadBootstrap":  {"accessorId": property.New("the accessorId"), "token": property.New("the token").WithSecret(true)},
	"ConsulToken":     {"accessorId": property.New("the accessorId"), "token": property.New("the token").WithSecret(true)},
	"GossipUse":       {"sole": property.New(true)},
	"Membership":      {"nodeId": property.New("the nodeId")},
}

// Secrets are the names of those that nobody may see, wherever they are.
var Secrets = []string{"rootToken", "unsealKeys", "recoveryKeys", "keys", "key", "bootstrapSecret", "secretId", "token"}

// State is what the resource has in the stack's state with these inputs.
func (s Subject) State(inputs map[string]any) property.Map {
	state := s.Checked(inputs)
	for name, value := range made[string(s.URN.Type().Name())] {
		state = state.Set(name, value)
	}
	return state
}
