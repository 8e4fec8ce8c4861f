package bootstrap

import (
	"context"
	"fmt"

	vault "github.com/hashicorp/vault/api"
)

// vaultNode is one Vault server and the client that speaks to it alone.
type vaultNode struct {
	Node
	*vault.Client
}

func newVaultNode(node Node, caPem string) (vaultNode, error) {
	http, err := httpClient(caPem)
	if err != nil {
		return vaultNode{}, err
	}
	// No retries by the client: a repeated init would hide the answer that was lost, and waits have their own pace.
	client, err := vault.NewClient(&vault.Config{Address: node.Address, HttpClient: http})
	if err != nil {
		return vaultNode{}, fmt.Errorf("make a Vault client for %s: %w", node, err)
	}
	return vaultNode{node, client}, nil
}

// ask returns what Vault says of itself on the node, with one request. It needs no token and works in every state.
func (v vaultNode) ask(ctx context.Context) (*vault.SealStatusResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return v.Sys().SealStatusWithContext(ctx)
}
