package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	vault "github.com/hashicorp/vault/api"

	"hashistack/provider/internal/cluster"
	"hashistack/provider/internal/explain"
)

// Vault is one Vault server.
type Vault struct {
	cluster.Node
	*vault.Client
}

// NewVault makes the client of one server. Without a token its requests are anonymous.
func NewVault(node cluster.Node, caPem, token string) (Vault, error) {
	http, err := cluster.HTTPClient(caPem)
	if err != nil {
		return Vault{}, err
	}
	// No retries by the client: a repeated init would hide that the first answer was lost, and waits have their own pace.
	// No redirects: they lead to private addresses.
	client, err := vault.NewClient(&vault.Config{Address: node.Address, HttpClient: http, DisableRedirects: true})
	if err != nil {
		return Vault{}, err
	}
	if token != "" {
		client.SetToken(token)
	}
	return Vault{node, client}, nil
}

// ConnectVault makes the clients of all servers of a cluster.
func ConnectVault(c cluster.Cluster) ([]Vault, error) {
	if len(c.Nodes) == 0 {
		return nil, errors.New("nodes: must name at least one node")
	}
	return connect(c, NewVault)
}

// Ask returns what Vault says of itself on the node, with one request. It needs no token and works in every state.
func (v Vault) Ask(ctx context.Context) (*vault.SealStatusResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, RequestTimeout)
	defer cancel()
	return v.Sys().SealStatusWithContext(ctx)
}

// Works returns nil if the node answers for its cluster: it is active, or it forwards to the node that is. A node that has
// only just found the active one redirects requests instead of forwarding them, and to a private address.
func (v Vault) Works(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, RequestTimeout)
	defer cancel()
	leader, err := v.Sys().LeaderWithContext(ctx)
	switch {
	case err != nil:
		return err
	case leader.HAEnabled && leader.LeaderAddress == "":
		return errors.New("no active node")
	}
	// A request without a token is refused, but only the active node can refuse it.
	answer, err := v.Logical().ReadRawWithContext(ctx, "auth/token/lookup-self")
	if answer != nil {
		defer answer.Body.Close() //nolint:errcheck // nobody reads it
	}
	switch code := explain.Status(err); {
	case code == http.StatusForbidden, code == http.StatusBadRequest:
		return nil
	case err == nil:
		return fmt.Errorf("it does not forward to the active node yet, but answers %d", answer.StatusCode)
	default:
		return err
	}
}
