package api

import (
	"context"
	"fmt"
	"time"

	consul "github.com/hashicorp/consul/api"

	"hashistack/provider/internal/cluster"
)

// Consul is one Consul server.
type Consul struct {
	cluster.Node
	*consul.Client
	Token string
}

// NewConsul makes the client of one server. Its requests carry the token only where they are given WithToken: before the
// bootstrap there are requests that must be anonymous.
func NewConsul(node cluster.Node, caPem, token string) (Consul, error) {
	client, err := NewConsulClient(node, caPem, "", RequestTimeout)
	return Consul{node, client, token}, err
}

// ConnectConsul makes the clients of all servers of a cluster. All their requests carry the token: some of the agent's take no
// options.
func ConnectConsul(c cluster.Cluster) ([]Consul, error) {
	return connect(c, func(node cluster.Node, caPem, token string) (Consul, error) {
		client, err := NewConsulClient(node, caPem, token, RequestTimeout)
		return Consul{node, client, token}, err
	})
}

// NewConsulClient makes a client that speaks to one server. All its requests carry the token; an empty one makes them
// anonymous.
func NewConsulClient(node cluster.Node, caPem, token string, timeout time.Duration) (*consul.Client, error) {
	client, err := cluster.HTTPClient(caPem)
	if err != nil {
		return nil, err
	}
	client.Timeout = timeout
	return consul.NewClient(&consul.Config{Address: node.Address, HttpClient: client, Token: token})
}

// WithToken are the options of a request that carries the server's token.
func (s Consul) WithToken(ctx context.Context) *consul.QueryOptions {
	return (&consul.QueryOptions{Token: s.Token}).WithContext(ctx)
}

// connect makes the clients of all servers of a cluster.
func connect[Server any](c cluster.Cluster, to func(node cluster.Node, caPem, token string) (Server, error)) ([]Server, error) {
	servers := make([]Server, 0, len(c.Nodes))
	for _, node := range c.Nodes {
		server, err := to(node, c.CaPem, c.Secret())
		if err != nil {
			return nil, fmt.Errorf("make a client for %s: %w", node, err)
		}
		servers = append(servers, server)
	}
	return servers, nil
}
