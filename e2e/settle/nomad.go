package settle

import (
	"context"
	"fmt"

	nomad "github.com/hashicorp/nomad/api"
)

// findNomad looks for a token. Nomad's policies and node pools need no look: the next update writes them again.
func findNomad(ctx context.Context, s *state, r resource) (orphan, error) {
	if r.Type != "nomad:index/aclToken:AclToken" {
		return nil, nil //nolint:nilnil // written again by the next update: there is no orphan
	}
	provider, err := s.provider(r)
	if err != nil {
		return nil, err
	}
	client, err := nomad.NewClient(&nomad.Config{
		Address: provider.text("address"), Region: provider.text("region"), SecretID: provider.text("secretId"),
		TLSConfig: &nomad.TLSConfig{CACertPEM: []byte(provider.text("caPem"))},
	})
	if err != nil {
		return nil, fmt.Errorf("client of Nomad: %w", err)
	}
	tokens, _, err := client.ACLTokens().List((&nomad.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return nil, err
	}
	for _, token := range tokens {
		if token.Name != r.text("name") || token.Type != r.text("type") || s.owns(token.AccessorID, r.Type) {
			continue
		}
		return thing{"Nomad's token " + token.AccessorID, func(ctx context.Context) error {
			_, err := client.ACLTokens().Delete(token.AccessorID, (&nomad.WriteOptions{}).WithContext(ctx))
			return err
		}}, nil
	}
	return nil, nil //nolint:nilnil // there is no orphan
}
