package acl

import (
	"context"

	"hashistack/provider/internal/cluster"
)

// ManagementPolicy is for tests: they play Consul.
const ManagementPolicy = managementPolicy

// Unhealthy asks a server which servers are not healthy.
type Unhealthy func(ctx context.Context, node cluster.Node, caPem, secret string) ([]string, error)

// UnhealthyConsul asks a Consul server.
func UnhealthyConsul(ctx context.Context, node cluster.Node, caPem, secret string) ([]string, error) {
	server, err := connectConsul(node, caPem, secret)
	if err != nil {
		return nil, err
	}
	return server.unhealthy(ctx)
}

// UnhealthyNomad asks a Nomad server.
func UnhealthyNomad(ctx context.Context, node cluster.Node, caPem, secret string) ([]string, error) {
	server, err := connectNomad(node, caPem, secret)
	if err != nil {
		return nil, err
	}
	return server.unhealthy(ctx)
}

// Self asks a Consul server whose token it was given.
func Self(ctx context.Context, node cluster.Node, caPem, secret string) (string, error) {
	server, err := connectConsul(node, caPem, secret)
	if err != nil {
		return "", err
	}
	return server.self(ctx)
}
