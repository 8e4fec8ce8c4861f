package membership

import (
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/property"
)

// reshape turns roles into clusters. Up to commit 92b9c89 a membership had the list `roles`, nodes and token of all three
// products whatever the roles were, and one `caPem`. So the old state of a machine without Vault has Vault's root token
// and unseal keys; the new one has not. reshape can go when every stack has been refreshed (`pulumi refresh`) since.
func reshape(old property.Map) property.Map {
	roles, is := old.GetOk("roles")
	if !is {
		return old
	}
	has := func(role string) bool { return slices.ContainsFunc(roles.AsArray().AsSlice(), named(role)) }
	client := has("nomad-client")

	reshaped := old.Delete("roles", "caPem", "vaultNodes", "vaultToken", "consulNodes", "consulToken", "nomadNodes", "nomadToken").
		Set("consul", clusterOf(old, "consulNodes", "consulToken")).
		Set("nomadClient", property.New(client))
	if client || has("nomad-server") {
		reshaped = reshaped.Set("nomad", clusterOf(old, "nomadNodes", "nomadToken"))
	}
	if !has("vault") {
		return reshaped.Delete("unsealKeys")
	}
	return reshaped.Set("vault", clusterOf(old, "vaultNodes", "vaultToken"))
}

func named(role string) func(property.Value) bool {
	return func(value property.Value) bool { return value.IsString() && value.AsString() == role }
}

func clusterOf(old property.Map, nodes, token string) property.Value {
	return property.New(map[string]property.Value{"nodes": old.Get(nodes), "caPem": old.Get("caPem"), "token": old.Get(token)})
}
