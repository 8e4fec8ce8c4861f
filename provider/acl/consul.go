package acl

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	consul "github.com/hashicorp/consul/api"
	"github.com/pulumi/pulumi-go-provider/infer"

	"hashistack/provider/internal/api"
	"hashistack/provider/internal/cluster"
	"hashistack/provider/internal/explain"
	"hashistack/provider/internal/migrate"
	"hashistack/provider/internal/wait"
)

// managementPolicy is the ID of Consul's built-in policy global-management, the same in every cluster.
const managementPolicy = "00000000-0000-0000-0000-000000000001"

// ConsulBootstrap bootstraps Consul's ACL system.
type ConsulBootstrap struct{ bootstrap }

var (
	_ infer.CustomCheck[Args]                 = ConsulBootstrap{}
	_ infer.CustomDiff[Args, State]           = ConsulBootstrap{}
	_ infer.CustomUpdate[Args, State]         = ConsulBootstrap{}
	_ infer.CustomRead[Args, State]           = ConsulBootstrap{}
	_ infer.ExplicitDependencies[Args, State] = ConsulBootstrap{}
)

// ConsulResource is the resource ConsulBootstrap.
func ConsulResource() infer.InferredResource {
	return migrate.Resource(infer.Resource(ConsulBootstrap{bootstrap{product{"Consul", "acl-bootstrap-reset", connectConsul}}}), reshape)
}

// Annotate describes the resource in the schema.
func (r *ConsulBootstrap) Annotate(a infer.Annotator) {
	a.Describe(&r, "Bootstraps Consul's ACL system with a secret chosen beforehand, and waits for all voters to be healthy. "+
		"Deleting the resource does nothing: the token goes with the machines.")
}

type consulServer struct{ api.Consul }

func connectConsul(node cluster.Node, caPem, secret string) (server, error) {
	server, err := api.NewConsul(node, caPem, secret)
	return consulServer{server}, err
}

func anonymously(ctx context.Context) *consul.QueryOptions {
	return new(consul.QueryOptions).WithContext(ctx)
}

func (s consulServer) leader(ctx context.Context) (string, error) {
	return s.Status().LeaderWithQueryOptions(anonymously(ctx))
}

func (s consulServer) peers(ctx context.Context) ([]string, error) {
	return s.Status().PeersWithQueryOptions(anonymously(ctx))
}

func (s consulServer) bootstrap(context.Context) (string, error) {
	// The API takes no context here; the client's timeout bounds the request.
	token, _, err := s.ACL().BootstrapWithToken(s.Token)
	if err != nil {
		return "", asDone(err)
	}
	return token.AccessorID, nil
}

func (s consulServer) self(ctx context.Context) (string, error) {
	token, _, err := s.ACL().TokenReadSelf(s.WithToken(ctx))
	if explain.Status(err) == http.StatusForbidden || explain.Status(err) == http.StatusNotFound {
		return "", errUnknownToken
	}
	if err != nil {
		return "", err
	}
	if !slices.ContainsFunc(token.Policies, func(link *consul.ACLTokenPolicyLink) bool { return link.ID == managementPolicy }) {
		return "", wait.Final(fmt.Errorf("bootstrapSecret is the token with accessor %s, which lacks the policy global-management", token.AccessorID))
	}
	return token.AccessorID, nil
}

func (s consulServer) voters(ctx context.Context) (int, error) {
	configuration, err := s.Operator().RaftGetConfiguration(s.WithToken(ctx))
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
	health, err := s.Operator().AutopilotServerHealth(s.WithToken(ctx))
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
