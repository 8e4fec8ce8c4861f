package main

import (
	"context"
	"fmt"

	nomad "github.com/hashicorp/nomad/api"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

// findNomad looks for a token. Nomad's policies and node pools need no look: the next update writes them again.
func findNomad(ctx context.Context, s *state, r apitype.ResourceV3) (orphan, error) {
	kind := string(r.Type)
	if kind != "nomad:index/aclToken:AclToken" {
		return nil, nil //nolint:nilnil // written again by the next update: there is no orphan
	}
	provider, err := s.provider(r)
	if err != nil {
		return nil, err
	}
	client, err := nomad.NewClient(&nomad.Config{
		Address: text(provider, "address"), Region: text(provider, "region"), SecretID: text(provider, "secretId"),
		TLSConfig: &nomad.TLSConfig{CACertPEM: []byte(text(provider, "caPem"))},
	})
	if err != nil {
		return nil, fmt.Errorf("client of Nomad: %w", err)
	}
	tokens, _, err := client.ACLTokens().List((&nomad.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return nil, err
	}
	for _, token := range tokens {
		if token.Name != text(r, "name") || token.Type != text(r, "type") || s.owns(token.AccessorID, kind) {
			continue
		}
		return thing{"Nomad's token " + token.AccessorID, func(ctx context.Context) error {
			_, err := client.ACLTokens().Delete(token.AccessorID, (&nomad.WriteOptions{}).WithContext(ctx))
			return err
		}}, nil
	}
	return nil, nil //nolint:nilnil // there is no orphan
}
