// Package parts says which machines have which parts. Each folder below is a part; package machine says what that is.
package parts

import (
	"slices"

	"hashistack/internal/machine"
	"hashistack/internal/machine/parts/access"
	"hashistack/internal/machine/parts/base"
	"hashistack/internal/machine/parts/consul"
	"hashistack/internal/machine/parts/consulserver"
	"hashistack/internal/machine/parts/nomad"
	"hashistack/internal/machine/parts/nomadclient"
	"hashistack/internal/machine/parts/nomadserver"
	"hashistack/internal/machine/parts/nomaduser"
	"hashistack/internal/machine/parts/vault"
)

// table says which roles bring which part. A machine's user-data lists what its parts bring in this order: another order
// replaces every machine.
var table = []struct {
	part machine.Part
	on   func([]machine.Role) bool // nil: every machine
}{
	{part: base.Part},
	{part: consul.Part},
	{part: access.Part},
	{vault.Part, with(machine.RoleVault)},
	{consulserver.Part, with(machine.RoleConsulServer)},
	{nomad.Part, with(machine.RoleNomadServer, machine.RoleNomadClient)},
	{nomadserver.Part, with(machine.RoleNomadServer)},
	{nomaduser.Part, func(roles []machine.Role) bool { // Nomad's clients have to be root
		return with(machine.RoleNomadServer)(roles) && !with(machine.RoleNomadClient)(roles)
	}},
	{nomadclient.Part, with(machine.RoleNomadClient)},
}

// with tells whether one of the roles is among a machine's.
func with(wanted ...machine.Role) func([]machine.Role) bool {
	return func(roles []machine.Role) bool {
		return slices.ContainsFunc(roles, func(role machine.Role) bool { return slices.Contains(wanted, role) })
	}
}

// Of are the parts of machines with these roles.
func Of(roles []machine.Role) machine.Parts {
	var parts machine.Parts
	for _, row := range table {
		part := row.part
		part.Everywhere = row.on == nil
		if part.Everywhere || row.on(roles) {
			parts = append(parts, part)
		}
	}
	return parts
}

// All are all parts that there are.
func All() machine.Parts {
	var parts machine.Parts
	for _, row := range table {
		row.part.Everywhere = row.on == nil
		parts = append(parts, row.part)
	}
	return parts
}
