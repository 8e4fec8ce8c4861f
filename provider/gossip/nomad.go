package gossip

import (
	"context"

	nomad "github.com/hashicorp/nomad/api"

	"hashistack/provider/internal/api"
	"hashistack/provider/internal/cluster"
)

// nomadRing is a Nomad server. Its client sends the token by itself.
type nomadRing struct {
	cluster.Node
	client *nomad.Client
}

func newNomadRing(node cluster.Node, caPem, token string) (ring, error) {
	client, err := api.NewNomadClient(node, caPem, token, ringTimeout)
	return nomadRing{node, client}, err
}

func (r nomadRing) list(ctx context.Context) ([]pool, error) {
	var answer nomad.KeyringResponse
	if _, err := r.client.Raw().Query("/v1/agent/keyring/list", &answer, new(nomad.QueryOptions).WithContext(ctx)); err != nil {
		return nil, err
	}
	return []pool{{"the servers", answer.NumNodes, answer.Keys}}, nil
}

func (r nomadRing) install(ctx context.Context, key string) error { return r.tell(ctx, "install", key) }
func (r nomadRing) use(ctx context.Context, key string) error     { return r.tell(ctx, "use", key) }
func (r nomadRing) remove(ctx context.Context, key string) error  { return r.tell(ctx, "remove", key) }

func (r nomadRing) tell(ctx context.Context, act, key string) error {
	_, err := r.client.Raw().Write("/v1/agent/keyring/"+act, nomad.KeyringRequest{Key: key}, nil, new(nomad.WriteOptions).WithContext(ctx))
	return err
}

func (r nomadRing) self(context.Context) (string, error) {
	agent, err := r.client.Agent().Self()
	if err != nil {
		return "", err
	}
	return agent.Member.Name, nil
}

func (r nomadRing) members(ctx context.Context) (alive, failed []string, err error) {
	answer, err := r.client.Agent().MembersOpts(new(nomad.QueryOptions).WithContext(ctx))
	if err != nil {
		return nil, nil, err
	}
	for _, member := range answer.Members {
		switch member.Status {
		case "alive":
			alive = append(alive, member.Name)
		case "failed":
			failed = append(failed, member.Name)
		}
	}
	return alive, failed, nil
}
