package acl

import (
	"context"

	"hashistack/provider/internal/cluster"
)

// ManagementPolicy is for tests: they play Consul.
const ManagementPolicy = managementPolicy

// Server is a server as the resources ask it.
type Server struct{ server }

// Connect makes the client of one server.
type Connect func(node cluster.Node, caPem, secret string) (Server, error)

// Consul makes the client of a Consul server.
func Consul(node cluster.Node, caPem, secret string) (Server, error) {
	server, err := connectConsul(node, caPem, secret)
	return Server{server}, err
}

// Nomad makes the client of a Nomad server.
func Nomad(node cluster.Node, caPem, secret string) (Server, error) {
	server, err := connectNomad(node, caPem, secret)
	return Server{server}, err
}

// Unhealthy names the servers that are not healthy.
func (s Server) Unhealthy(ctx context.Context) ([]string, error) { return s.unhealthy(ctx) }

// Self is the accessor of the token that the server was given.
func (s Server) Self(ctx context.Context) (string, error) { return s.self(ctx) }
