// Package rig is what the provider's tests share: a resource driven as Pulumi drives it, certificates, and, with the build
// tag products, clusters of the real products.
package rig

import (
	"context"
	"testing"

	"github.com/blang/semver"
	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/integration"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
	"github.com/stretchr/testify/require"

	"hashistack/provider/hashistack"
)

// Secret is the bootstrap secret of the tests, and OtherSecret another one.
const (
	Secret      = "0c6e1f0a-57a5-4d5e-8a5b-3b1a6f0f9d11" //nolint:gosec // made up, and of no cluster outside of the tests
	OtherSecret = "5b0f8c6e-93ab-4f0b-9a1d-6f6b0a7f2c22" //nolint:gosec // likewise
)

// GossipKey is the gossip key of the tests, and OtherGossipKey another one.
const (
	GossipKey      = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	OtherGossipKey = "Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA="
)

// Subject is one resource under test, driven over the provider's gRPC-level interface as Pulumi drives it.
type Subject struct {
	T      *testing.T
	Server integration.Server
	URN    resource.URN
}

// New is a resource of a provider of its own.
func New(ctx context.Context, t *testing.T, resourceType, name string) Subject {
	t.Helper()
	provider, err := hashistack.Provider()
	require.NoError(t, err)
	server, err := integration.NewServer(ctx, hashistack.Name, semver.MustParse(hashistack.Version), integration.WithProvider(provider))
	require.NoError(t, err)
	return Subject{t, server, ""}.Of(resourceType, name)
}

// Of is another resource of the same provider.
func (s Subject) Of(resourceType, name string) Subject {
	s.URN = resource.NewURN("test", "test", "", tokens.Type("hashistack:index:"+resourceType), name)
	return s
}

// Properties are values as they go over the wire.
func Properties(values map[string]any) property.Map {
	return resource.FromResourcePropertyValue(resource.NewProperty(resource.NewPropertyMapFromMap(values))).AsMap()
}

// Checked returns the inputs with their defaults, and fails the test if they are refused.
func (s Subject) Checked(inputs map[string]any) property.Map {
	s.T.Helper()
	resp, err := s.Server.Check(p.CheckRequest{Urn: s.URN, Inputs: Properties(inputs)})
	require.NoError(s.T, err)
	require.Empty(s.T, resp.Failures)
	return resp.Inputs
}

// Refused returns the failures that Check finds in the inputs.
func (s Subject) Refused(old property.Map, inputs map[string]any) map[string]string {
	s.T.Helper()
	resp, err := s.Server.Check(p.CheckRequest{Urn: s.URN, State: old, Inputs: Properties(inputs)})
	require.NoError(s.T, err)
	failures := map[string]string{}
	for _, failure := range resp.Failures {
		failures[failure.Property] = failure.Reason
	}
	return failures
}

// Create creates the resource.
func (s Subject) Create(inputs map[string]any) (p.CreateResponse, error) {
	s.T.Helper()
	return s.Server.Create(p.CreateRequest{Urn: s.URN, Properties: s.Checked(inputs)})
}

// MustCreate creates the resource, and fails the test if that fails.
func (s Subject) MustCreate(inputs map[string]any) p.CreateResponse {
	s.T.Helper()
	resp, err := s.Create(inputs)
	require.NoError(s.T, err)
	return resp
}

// Read refreshes the resource.
func (s Subject) Read(created p.CreateResponse, inputs map[string]any) p.ReadResponse {
	s.T.Helper()
	resp, err := s.Server.Read(p.ReadRequest{ID: created.ID, Urn: s.URN, Properties: created.Properties, Inputs: s.Checked(inputs)})
	require.NoError(s.T, err)
	return resp
}

// Diff asks for the differences.
func (s Subject) Diff(state property.Map, oldInputs, inputs map[string]any) p.DiffResponse {
	s.T.Helper()
	resp, err := s.Server.Diff(p.DiffRequest{
		ID: s.URN.Name(), Urn: s.URN, State: state, OldInputs: s.Checked(oldInputs), Inputs: s.Checked(inputs),
	})
	require.NoError(s.T, err)
	return resp
}

// Update updates the resource.
func (s Subject) Update(state property.Map, oldInputs, inputs map[string]any) (p.UpdateResponse, error) {
	s.T.Helper()
	return s.Server.Update(p.UpdateRequest{
		ID: s.URN.Name(), Urn: s.URN, State: state, OldInputs: s.Checked(oldInputs), Inputs: s.Checked(inputs),
	})
}
