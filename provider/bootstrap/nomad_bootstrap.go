package bootstrap

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	nomad "github.com/hashicorp/nomad/api"
	"github.com/pulumi/pulumi-go-provider/infer"
)

// NomadBootstrap bootstraps Nomad's ACL system.
type NomadBootstrap struct{}

var (
	_ infer.CustomCheck[ACLBootstrapArgs]                             = NomadBootstrap{}
	_ infer.CustomUpdate[ACLBootstrapArgs, ACLBootstrapState]         = NomadBootstrap{}
	_ infer.CustomRead[ACLBootstrapArgs, ACLBootstrapState]           = NomadBootstrap{}
	_ infer.ExplicitDependencies[ACLBootstrapArgs, ACLBootstrapState] = NomadBootstrap{}
)

var nomadProduct = aclProduct{name: "Nomad", resetFile: "server/acl-bootstrap-reset", connect: func(node Node, args ACLBootstrapArgs) (aclServer, error) {
	return newNomadServer(node, args.CaPem, args.BootstrapSecret)
}}

// Annotate describes the resource in the schema.
func (r *NomadBootstrap) Annotate(a infer.Annotator) {
	a.Describe(&r, "Bootstraps Nomad's ACL system with a secret chosen beforehand, and waits for all voters to be healthy. "+
		"Deleting the resource does nothing: the token goes with the machines.")
}

// WireDependencies keeps the token secret.
func (NomadBootstrap) WireDependencies(f infer.FieldSelector, args *ACLBootstrapArgs, state *ACLBootstrapState) {
	wireToken(f, args, state)
}

// Check reports every problem of the inputs at once.
func (NomadBootstrap) Check(ctx context.Context, req infer.CheckRequest) (infer.CheckResponse[ACLBootstrapArgs], error) {
	return nomadProduct.check(ctx, req)
}

// Create bootstraps, or takes over what an interrupted run with the same secret has done.
func (NomadBootstrap) Create(ctx context.Context, req infer.CreateRequest[ACLBootstrapArgs]) (infer.CreateResponse[ACLBootstrapState], error) {
	return nomadProduct.create(ctx, req)
}

// Update takes over how Nomad is reached, and waits for new machines.
func (NomadBootstrap) Update(ctx context.Context, req infer.UpdateRequest[ACLBootstrapArgs, ACLBootstrapState]) (infer.UpdateResponse[ACLBootstrapState], error) {
	return nomadProduct.update(ctx, req)
}

// Read sees whether Nomad still knows the token, and warns if it is not healthy.
func (NomadBootstrap) Read(ctx context.Context, req infer.ReadRequest[ACLBootstrapArgs, ACLBootstrapState]) (infer.ReadResponse[ACLBootstrapArgs, ACLBootstrapState], error) {
	return nomadProduct.read(ctx, req)
}

type nomadServer struct {
	Node
	client *nomad.Client
	secret string
}

func newNomadServer(node Node, caPem, secret string) (nomadServer, error) {
	client, err := newNomadClient(node, caPem, "", requestTimeout)
	return nomadServer{node, client, secret}, err
}

// newNomadClient makes a client of one server alone. Its requests are anonymous without a token.
func newNomadClient(node Node, caPem, token string, timeout time.Duration) (*nomad.Client, error) {
	client, err := httpClient(caPem)
	if err != nil {
		return nil, err
	}
	client.Timeout = timeout
	return nomad.NewClient(&nomad.Config{Address: node.Address, HttpClient: client, SecretID: token})
}

func (s nomadServer) withToken(ctx context.Context) *nomad.QueryOptions {
	return (&nomad.QueryOptions{AuthToken: s.secret}).WithContext(ctx)
}

func (s nomadServer) leader(ctx context.Context) (leader string, err error) {
	_, err = s.client.Raw().Query("/v1/status/leader", &leader, new(nomad.QueryOptions).WithContext(ctx))
	return leader, err
}

func (s nomadServer) peers(ctx context.Context) (peers []string, err error) {
	_, err = s.client.Raw().Query("/v1/status/peers", &peers, new(nomad.QueryOptions).WithContext(ctx))
	return peers, err
}

func (s nomadServer) bootstrap(ctx context.Context) (string, error) {
	token, _, err := s.client.ACLTokens().BootstrapOpts(s.secret, new(nomad.WriteOptions).WithContext(ctx))
	if err != nil {
		return "", asDone(err)
	}
	return token.AccessorID, nil
}

func (s nomadServer) self(ctx context.Context) (string, error) {
	token, _, err := s.client.ACLTokens().Self(s.withToken(ctx))
	if statusCode(err) == http.StatusForbidden || statusCode(err) == http.StatusNotFound {
		return "", errUnknownToken
	}
	if err != nil {
		return "", err
	}
	if token.Type != "management" {
		return "", final(fmt.Errorf("bootstrapSecret is the token with accessor %s, which is of type %s, not management", token.AccessorID, token.Type))
	}
	return token.AccessorID, nil
}

func (s nomadServer) voters(ctx context.Context) (int, error) {
	configuration, err := s.client.Operator().RaftGetConfiguration(s.withToken(ctx))
	if err != nil {
		return 0, err
	}
	voters := 0
	for _, server := range configuration.Servers {
		if server.Voter {
			voters++
		}
	}
	return voters, nil
}

func (s nomadServer) writing(ctx context.Context) *nomad.WriteOptions {
	return (&nomad.WriteOptions{AuthToken: s.secret}).WithContext(ctx)
}

// health is what the leader's autopilot finds.
func (s nomadServer) health(ctx context.Context) (*nomad.OperatorHealthReply, error) {
	health, _, err := s.client.Operator().AutopilotServerHealth(s.withToken(ctx))
	// Nomad answers 429 with the same document when a server is not healthy, which its client takes for a failure.
	var answer nomad.UnexpectedResponseError
	if errors.As(err, &answer) && answer.StatusCode() == http.StatusTooManyRequests {
		health = new(nomad.OperatorHealthReply)
		err = json.Unmarshal([]byte(answer.Body()), health)
	}
	return health, err
}

func (s nomadServer) unhealthy(ctx context.Context) ([]string, error) {
	health, err := s.health(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, server := range health.Servers {
		if !server.Healthy {
			names = append(names, server.Name)
		}
	}
	if len(names) == 0 && !health.Healthy {
		return []string{"the cluster as a whole"}, nil
	}
	return names, nil
}
