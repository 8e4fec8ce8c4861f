package acl

import (
	"context"
	"fmt"
	"net/http"

	nomad "github.com/hashicorp/nomad/api"
	"github.com/pulumi/pulumi-go-provider/infer"

	"hashistack/provider/internal/api"
	"hashistack/provider/internal/cluster"
	"hashistack/provider/internal/explain"
	"hashistack/provider/internal/migrate"
	"hashistack/provider/internal/wait"
)

// NomadBootstrap bootstraps Nomad's ACL system.
type NomadBootstrap struct{ bootstrap }

var (
	_ infer.CustomCheck[Args]                 = NomadBootstrap{}
	_ infer.CustomDiff[Args, State]           = NomadBootstrap{}
	_ infer.CustomUpdate[Args, State]         = NomadBootstrap{}
	_ infer.CustomRead[Args, State]           = NomadBootstrap{}
	_ infer.ExplicitDependencies[Args, State] = NomadBootstrap{}
)

// NomadResource is the resource NomadBootstrap.
func NomadResource() infer.InferredResource {
	return migrate.Resource(infer.Resource(NomadBootstrap{bootstrap{product{"Nomad", "server/acl-bootstrap-reset", connectNomad}}}), reshape)
}

// Annotate describes the resource in the schema.
func (r *NomadBootstrap) Annotate(a infer.Annotator) {
	a.Describe(&r, "Bootstraps Nomad's ACL system with a secret chosen beforehand, and waits for all voters to be healthy. "+
		"Deleting the resource does nothing: the token goes with the machines.")
}

type nomadServer struct{ api.Nomad }

func connectNomad(node cluster.Node, caPem, secret string) (server, error) {
	server, err := api.NewNomad(node, caPem, secret)
	return nomadServer{server}, err
}

func (s nomadServer) leader(ctx context.Context) (leader string, err error) {
	_, err = s.Raw().Query("/v1/status/leader", &leader, new(nomad.QueryOptions).WithContext(ctx))
	return leader, err
}

func (s nomadServer) peers(ctx context.Context) (peers []string, err error) {
	_, err = s.Raw().Query("/v1/status/peers", &peers, new(nomad.QueryOptions).WithContext(ctx))
	return peers, err
}

func (s nomadServer) bootstrap(ctx context.Context) (string, error) {
	token, _, err := s.ACLTokens().BootstrapOpts(s.Token, new(nomad.WriteOptions).WithContext(ctx))
	if err != nil {
		return "", asDone(err)
	}
	return token.AccessorID, nil
}

func (s nomadServer) self(ctx context.Context) (string, error) {
	token, _, err := s.ACLTokens().Self(s.WithToken(ctx))
	if explain.Status(err) == http.StatusForbidden || explain.Status(err) == http.StatusNotFound {
		return "", errUnknownToken
	}
	if err != nil {
		return "", err
	}
	if token.Type != "management" {
		return "", wait.Final(fmt.Errorf("bootstrapSecret is the token with accessor %s, which is of type %s, not management", token.AccessorID, token.Type))
	}
	return token.AccessorID, nil
}

func (s nomadServer) voters(ctx context.Context) (int, error) {
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

func (s nomadServer) unhealthy(ctx context.Context) ([]string, error) {
	health, err := s.Health(ctx)
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
