package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	nomad "github.com/hashicorp/nomad/api"

	"hashistack/provider/internal/cluster"
)

// Nomad is one Nomad server. Its client sends no token by itself: see WithToken and Writing.
type Nomad struct {
	cluster.Node
	*nomad.Client
	Token string
}

// NewNomad makes the client of one server.
func NewNomad(node cluster.Node, caPem, token string) (Nomad, error) {
	client, err := NewNomadClient(node, caPem, "", RequestTimeout)
	return Nomad{node, client, token}, err
}

// ConnectNomad makes the clients of all servers of a cluster.
func ConnectNomad(c cluster.Cluster) ([]Nomad, error) {
	return connect(c, NewNomad)
}

// NewNomadClient makes a client that speaks to one server. All its requests carry the token; an empty one makes them
// anonymous.
func NewNomadClient(node cluster.Node, caPem, token string, timeout time.Duration) (*nomad.Client, error) {
	client, err := cluster.HTTPClient(caPem)
	if err != nil {
		return nil, err
	}
	client.Timeout = timeout
	return nomad.NewClient(&nomad.Config{Address: node.Address, HttpClient: client, SecretID: token})
}

// WithToken are the options of a read that carries the server's token.
func (s Nomad) WithToken(ctx context.Context) *nomad.QueryOptions {
	return (&nomad.QueryOptions{AuthToken: s.Token}).WithContext(ctx)
}

// Writing are the options of a write that carries the server's token.
func (s Nomad) Writing(ctx context.Context) *nomad.WriteOptions {
	return (&nomad.WriteOptions{AuthToken: s.Token}).WithContext(ctx)
}

// Health is what the leader's autopilot finds.
func (s Nomad) Health(ctx context.Context) (*nomad.OperatorHealthReply, error) {
	health, _, err := s.Operator().AutopilotServerHealth(s.WithToken(ctx))
	// Nomad answers 429 with the same document when a server is not healthy, which its client takes for a failure.
	var answer nomad.UnexpectedResponseError
	if errors.As(err, &answer) && answer.StatusCode() == http.StatusTooManyRequests {
		health = new(nomad.OperatorHealthReply)
		err = json.Unmarshal([]byte(answer.Body()), health)
	}
	return health, err
}
