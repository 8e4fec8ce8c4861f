package bootstrap

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	consul "github.com/hashicorp/consul/api"
	"github.com/pulumi/pulumi-go-provider/infer"
)

// managementPolicy is the ID of Consul's built-in policy global-management, the same in every cluster.
const managementPolicy = "00000000-0000-0000-0000-000000000001"

// ConsulBootstrap bootstraps Consul's ACL system.
type ConsulBootstrap struct{}

var (
	_ infer.CustomCheck[ACLBootstrapArgs]                             = ConsulBootstrap{}
	_ infer.CustomUpdate[ACLBootstrapArgs, ACLBootstrapState]         = ConsulBootstrap{}
	_ infer.CustomRead[ACLBootstrapArgs, ACLBootstrapState]           = ConsulBootstrap{}
	_ infer.ExplicitDependencies[ACLBootstrapArgs, ACLBootstrapState] = ConsulBootstrap{}
)

var consulProduct = aclProduct{name: "Consul", resetFile: "acl-bootstrap-reset", connect: func(node Node, args ACLBootstrapArgs) (aclServer, error) {
	return newConsulServer(node, args.CaPem, args.BootstrapSecret)
}}

// Annotate describes the resource in the schema.
func (r *ConsulBootstrap) Annotate(a infer.Annotator) {
	a.Describe(&r, "Bootstraps Consul's ACL system with a secret chosen beforehand, and waits for all voters to be healthy. "+
		"Deleting the resource does nothing: the token goes with the machines.")
}

// WireDependencies keeps the token secret.
func (ConsulBootstrap) WireDependencies(f infer.FieldSelector, args *ACLBootstrapArgs, state *ACLBootstrapState) {
	wireToken(f, args, state)
}

// Check reports every problem of the inputs at once.
func (ConsulBootstrap) Check(ctx context.Context, req infer.CheckRequest) (infer.CheckResponse[ACLBootstrapArgs], error) {
	return consulProduct.check(ctx, req)
}

// Create bootstraps, or takes over what an interrupted run with the same secret has done.
func (ConsulBootstrap) Create(ctx context.Context, req infer.CreateRequest[ACLBootstrapArgs]) (infer.CreateResponse[ACLBootstrapState], error) {
	return consulProduct.create(ctx, req)
}

// Update takes over how Consul is reached, and waits for new machines.
func (ConsulBootstrap) Update(ctx context.Context, req infer.UpdateRequest[ACLBootstrapArgs, ACLBootstrapState]) (infer.UpdateResponse[ACLBootstrapState], error) {
	return consulProduct.update(ctx, req)
}

// Read sees whether Consul still knows the token, and warns if it is not healthy.
func (ConsulBootstrap) Read(ctx context.Context, req infer.ReadRequest[ACLBootstrapArgs, ACLBootstrapState]) (infer.ReadResponse[ACLBootstrapArgs, ACLBootstrapState], error) {
	return consulProduct.read(ctx, req)
}

type consulServer struct {
	Node
	client *consul.Client
	secret string
}

func newConsulServer(node Node, caPem, secret string) (consulServer, error) {
	client, err := newConsulClient(node, caPem, "", requestTimeout)
	return consulServer{node, client, secret}, err
}

// newConsulClient makes a client of one server alone. Its requests are anonymous without a token.
func newConsulClient(node Node, caPem, token string, timeout time.Duration) (*consul.Client, error) {
	client, err := httpClient(caPem)
	if err != nil {
		return nil, err
	}
	client.Timeout = timeout
	return consul.NewClient(&consul.Config{Address: node.Address, HttpClient: client, Token: token})
}

func anonymously(ctx context.Context) *consul.QueryOptions {
	return new(consul.QueryOptions).WithContext(ctx)
}

func (s consulServer) withToken(ctx context.Context) *consul.QueryOptions {
	return (&consul.QueryOptions{Token: s.secret}).WithContext(ctx)
}

func (s consulServer) leader(ctx context.Context) (string, error) {
	return s.client.Status().LeaderWithQueryOptions(anonymously(ctx))
}

func (s consulServer) peers(ctx context.Context) ([]string, error) {
	return s.client.Status().PeersWithQueryOptions(anonymously(ctx))
}

func (s consulServer) bootstrap(context.Context) (string, error) {
	// The API takes no context here; the client's timeout bounds the request.
	token, _, err := s.client.ACL().BootstrapWithToken(s.secret)
	if err != nil {
		return "", asDone(err)
	}
	return token.AccessorID, nil
}

func (s consulServer) self(ctx context.Context) (string, error) {
	token, _, err := s.client.ACL().TokenReadSelf(s.withToken(ctx))
	if statusCode(err) == http.StatusForbidden || statusCode(err) == http.StatusNotFound {
		return "", errUnknownToken
	}
	if err != nil {
		return "", err
	}
	if !slices.ContainsFunc(token.Policies, func(link *consul.ACLTokenPolicyLink) bool { return link.ID == managementPolicy }) {
		return "", final(fmt.Errorf("bootstrapSecret is the token with accessor %s, which lacks the policy global-management", token.AccessorID))
	}
	return token.AccessorID, nil
}

func (s consulServer) voters(ctx context.Context) (int, error) {
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

func (s consulServer) unhealthy(ctx context.Context) ([]string, error) {
	health, err := s.client.Operator().AutopilotServerHealth(s.withToken(ctx))
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
