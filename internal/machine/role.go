package machine

import "slices"

// Role is a duty of a machine. A machine has one or more. Which parts a role brings is in the table of package parts.
type Role string

// The roles. Every machine runs a Consul agent besides; it is a server on machines with RoleConsulServer and a client
// on all others. The Nomad agent runs where there is a Nomad role, as both where there are both.
const (
	RoleVault        Role = "vault"
	RoleConsulServer Role = "consul-server"
	RoleNomadServer  Role = "nomad-server"
	RoleNomadClient  Role = "nomad-client"
)

// AllRoles are the roles, in the order in which documentation lists them.
func AllRoles() []Role {
	return append(QuorumRoles(), RoleNomadClient)
}

// QuorumRoles are the roles whose machines elect a leader among themselves: they come in ones, threes or fives.
func QuorumRoles() []Role {
	return []Role{RoleVault, RoleConsulServer, RoleNomadServer}
}

// HoldQuorum tells whether machines with these roles elect a leader of anything.
func HoldQuorum(roles []Role) bool {
	return slices.ContainsFunc(roles, func(role Role) bool { return slices.Contains(QuorumRoles(), role) })
}
