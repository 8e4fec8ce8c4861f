package rig

import "github.com/pulumi/pulumi/sdk/v3/go/property"

// Before is a Membership as the version before clusters has recorded it, with roles.
func Before(membership property.Map, roles ...string) property.Map {
	var list []property.Value
	for _, role := range roles {
		list = append(list, property.New(role))
	}
	old := membership.Set("roles", property.New(list)).Set("caPem", membership.Get("consul").AsMap().Get("caPem"))
	for _, product := range []string{"vault", "consul", "nomad"} {
		cluster := membership.Get(product).AsMap()
		old = old.Set(product+"Nodes", cluster.Get("nodes")).Set(product+"Token", cluster.Get("token")).Delete(product)
	}
	return old.Delete("nomadClient")
}
