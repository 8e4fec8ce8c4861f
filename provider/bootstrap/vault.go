package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"net/http"

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
	// No retries by the client: a repeated init would hide the answer that was lost, and waits have their own pace. No
	// redirects: they lead to private addresses.
	client, err := vault.NewClient(&vault.Config{Address: node.Address, HttpClient: http, DisableRedirects: true})
	if err != nil {
		return vaultNode{}, fmt.Errorf("make a Vault client for %s: %w", node, err)
	}
	return vaultNode{node, client}, nil
}

// connectVault makes the clients of all servers.
func connectVault(nodes []Node, caPem string) ([]vaultNode, error) {
	if len(nodes) == 0 {
		return nil, errors.New("nodes: must name at least one node")
	}
	servers := make([]vaultNode, 0, len(nodes))
	for _, node := range nodes {
		server, err := newVaultNode(node, caPem)
		if err != nil {
			return nil, err
		}
		servers = append(servers, server)
	}
	return servers, nil
}

// works returns nil if the node answers for its cluster: it is active, or forwards to the node that is. One that has only just
// found the active node sends whoever asks there instead, to a private address.
func (v vaultNode) works(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	leader, err := v.Sys().LeaderWithContext(ctx)
	switch {
	case err != nil:
		return err
	case leader.HAEnabled && leader.LeaderAddress == "":
		return errors.New("no active node")
	}
	// Nobody's token is refused, by the active node.
	answer, err := v.Logical().ReadRawWithContext(ctx, "auth/token/lookup-self")
	if answer != nil {
		defer answer.Body.Close() //nolint:errcheck // nobody reads it
	}
	switch code := statusCode(err); {
	case code == http.StatusForbidden, code == http.StatusBadRequest:
		return nil
	case err == nil:
		return fmt.Errorf("it does not forward to the active node yet, but answers %d", answer.StatusCode)
	default:
		return err
	}
}

// ask returns what Vault says of itself on the node, with one request. It needs no token and works in every state.
func (v vaultNode) ask(ctx context.Context) (*vault.SealStatusResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return v.Sys().SealStatusWithContext(ctx)
}
