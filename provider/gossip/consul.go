package gossip

import (
	"context"

	consul "github.com/hashicorp/consul/api"

	"hashistack/provider/internal/api"
	"hashistack/provider/internal/cluster"
)

// What Consul's API calls the status of a member: serf.MemberStatus, as a number.
const (
	serfAlive  = 1
	serfFailed = 4
)

// consulRing is a Consul server. Its client sends the token by itself.
type consulRing struct {
	cluster.Node
	client *consul.Client
}

func newConsulRing(node cluster.Node, caPem, token string) (ring, error) {
	client, err := api.NewConsulClient(node, caPem, token, ringTimeout)
	return consulRing{node, client}, err
}

func (r consulRing) list(ctx context.Context) ([]pool, error) {
	answers, err := r.client.Operator().KeyringList(new(consul.QueryOptions).WithContext(ctx))
	if err != nil {
		return nil, err
	}
	pools := make([]pool, 0, len(answers))
	for _, answer := range answers {
		name := "the LAN pool of " + answer.Datacenter
		if answer.WAN {
			name = "the WAN pool"
		}
		pools = append(pools, pool{name, answer.NumNodes, answer.Keys})
	}
	return pools, nil
}

func (r consulRing) install(ctx context.Context, key string) error {
	return r.client.Operator().KeyringInstall(key, new(consul.WriteOptions).WithContext(ctx))
}

func (r consulRing) use(ctx context.Context, key string) error {
	return r.client.Operator().KeyringUse(key, new(consul.WriteOptions).WithContext(ctx))
}

func (r consulRing) remove(ctx context.Context, key string) error {
	return r.client.Operator().KeyringRemove(key, new(consul.WriteOptions).WithContext(ctx))
}

func (r consulRing) self(context.Context) (string, error) { return r.client.Agent().NodeName() }

func (r consulRing) members(context.Context) (alive, failed []string, err error) {
	for _, wan := range []bool{false, true} {
		// The API takes no context here; the client's timeout bounds the request.
		members, err := r.client.Agent().Members(wan)
		if err != nil {
			return nil, nil, err
		}
		for _, member := range members {
			switch member.Status {
			case serfAlive:
				alive = append(alive, member.Name)
			case serfFailed:
				failed = append(failed, member.Name)
			}
		}
	}
	return alive, failed, nil
}
