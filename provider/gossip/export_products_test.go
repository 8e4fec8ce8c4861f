//go:build products

package gossip

import (
	"context"
	"maps"
	"slices"

	"hashistack/provider/internal/cluster"
)

// Server is a server with which a test looks at keys, and changes them behind the resources' back.
type Server struct{ ring }

// Connect connects to a server.
func Connect(product string, node cluster.Node, caPem, token string) (Server, error) {
	server, err := rings[product](node, caPem, token)
	return Server{server}, err
}

// Keys are the keys of the cluster, sorted, and how many members know the one that the fewest know.
func (s Server) Keys(ctx context.Context) (keys []string, fewest int, err error) {
	pools, err := s.list(ctx)
	if err != nil {
		return nil, 0, err
	}
	all := map[string]bool{}
	fewest = pools[0].members
	for _, pool := range pools {
		for key, members := range pool.keys {
			all[key] = true
			fewest = min(fewest, members)
		}
	}
	return slices.Sorted(maps.Keys(all)), fewest, nil
}

// Sole tells whether all members have the key and no other.
func (s Server) Sole(ctx context.Context, key string) (bool, error) {
	found, err := survey(ctx, s, key)
	return found.sole(), err
}

// InstallKey makes the members know a key.
func (s Server) InstallKey(ctx context.Context, key string) error { return s.install(ctx, key) }

// UseKey makes the members use a key.
func (s Server) UseKey(ctx context.Context, key string) error { return s.use(ctx, key) }

// Members are those that are alive, and those that failed.
func (s Server) Members(ctx context.Context) (alive, failed []string, err error) {
	return s.members(ctx)
}
