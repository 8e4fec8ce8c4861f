package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// answers is a product's API: a status and a body by method and path, 404 for all else. It notes what is asked for.
type answers struct {
	of    map[string]answer
	asked []string
}

type answer struct {
	status int
	body   string
}

func (a *answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	what := r.Method + " " + r.URL.Path
	a.asked = append(a.asked, what)
	found, ok := a.of[what]
	if !ok {
		found = answer{http.StatusNotFound, "{}"}
	}
	w.WriteHeader(found.status)
	_, _ = w.Write([]byte(found.body)) // a test's server: its client will notice
}

// serve answers until the test ends. The state has a provider with that address, and resources with IDs by type.
func serve(t *testing.T, product string, api *answers, inputs map[string]any, ids map[string]string) (*state, string) {
	t.Helper()
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	inputs["address"] = server.URL
	provider := resource.URN("urn:pulumi:local::hashistack::pulumi:providers:" + product + "::" + product)
	s := &state{DeploymentV3: &apitype.DeploymentV3{Resources: []apitype.ResourceV3{{URN: provider, Inputs: inputs}}}}
	for kind, id := range ids {
		s.Resources = append(s.Resources, apitype.ResourceV3{Type: tokens.Type(kind), ID: resource.ID(id)})
	}
	return s, string(provider) + "::id"
}

// What cannot be created twice is deleted, unless the stack has it as another resource.
func TestFindVaultAsksWhatTheStackOwns(t *testing.T) {
	const role, secretID = "auth/approle/role/server-1", "backend=approle::role=server-1::accessor=acc"
	for _, c := range []struct {
		kind    string
		owned   string // ID of a resource of that type that the stack has
		deletes string
	}{
		{appRole, "auth/approle/role/server-2", "DELETE /v1/" + role},
		{appRole, role, ""},
		{appRoleSecretID, "backend=approle::role=server-1::accessor=other", "PUT /v1/" + role + "/secret-id/destroy"},
		{appRoleSecretID, secretID, ""},
	} {
		api := &answers{of: map[string]answer{
			"GET /v1/" + role:                        {http.StatusOK, `{"data": {"token_ttl": 60}}`},
			"PUT /v1/" + role + "/secret-id/lookup":  {http.StatusOK, `{"data": {"secret_id_accessor": "acc"}}`},
			"PUT /v1/" + role + "/secret-id/destroy": {http.StatusNoContent, ""},
			"DELETE /v1/" + role:                     {http.StatusNoContent, ""},
		}}
		s, provider := serve(t, "vault", api, map[string]any{"token": "root"}, map[string]string{c.kind: c.owned})
		found, err := findVault(t.Context(), s, apitype.ResourceV3{Type: tokens.Type(c.kind), Provider: provider,
			Inputs: map[string]any{"roleName": "server-1", "secretId": "s3cret"}})
		require.NoError(t, err)
		if c.deletes == "" {
			assert.Nil(t, found, "%s %s is the stack's", c.kind, c.owned)
			continue
		}
		require.NotNil(t, found, "%s beside %s", c.kind, c.owned)
		require.NoError(t, found.remove(t.Context()))
		assert.Equal(t, c.deletes, api.asked[len(api.asked)-1])
	}
}

// Only Consul's own word that there is none lets a create be forgotten, by the answer's code and not by its text.
func TestFindConsulTellsMissingFromUnknown(t *testing.T) {
	const (
		policy = "GET /v1/acl/policy/name/deploy"
		rules  = "GET /v1/acl/binding-rules"
		self   = "GET /v1/acl/token/self"
	)
	gone := answer{http.StatusForbidden, "ACL not found"}
	for name, c := range map[string]struct {
		kind, problem string
		of            map[string]answer
	}{
		"no policy":                        {"consul:index/aclPolicy:AclPolicy", "", map[string]answer{}},
		"no policy, in Consul's other way": {"consul:index/aclPolicy:AclPolicy", "", map[string]answer{policy: gone, self: {http.StatusOK, `{"AccessorID": "a"}`}}},
		"a token that Consul does not know": {"consul:index/aclPolicy:AclPolicy", "Consul does not know the token",
			map[string]answer{policy: gone, self: gone}},
		"an error that names a 404": {"consul:index/aclPolicy:AclPolicy", "404 of 500 servers",
			map[string]answer{policy: {http.StatusInternalServerError, "404 of 500 servers"}}},
		"no binding rules": {"consul:index/aclBindingRule:AclBindingRule", "", map[string]answer{}},
		"an error that speaks of ACL not found": {"consul:index/aclBindingRule:AclBindingRule", "rpc error",
			map[string]answer{rules: {http.StatusInternalServerError, "rpc error: ACL not found"}, self: {http.StatusOK, `{"AccessorID": "a"}`}}},
	} {
		t.Run(name, func(t *testing.T) {
			s, provider := serve(t, "consul", &answers{of: c.of}, map[string]any{"token": "management"}, nil)
			found, err := findConsul(t.Context(), s, apitype.ResourceV3{Type: tokens.Type(c.kind), Provider: provider,
				Inputs: map[string]any{"name": "deploy", "authMethod": "nomad"}})
			assert.Nil(t, found)
			if c.problem == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.problem)
		})
	}
}

func TestFindConsulDeletesWhatTheStackDoesNotOwn(t *testing.T) {
	for owned, deletes := range map[string]bool{"other": true, "p-1": false} {
		api := &answers{of: map[string]answer{
			"GET /v1/acl/policy/name/deploy": {http.StatusOK, `{"ID": "p-1", "Name": "deploy"}`},
			"DELETE /v1/acl/policy/p-1":      {http.StatusOK, "true"},
		}}
		const kind = "consul:index/aclPolicy:AclPolicy"
		s, provider := serve(t, "consul", api, map[string]any{"token": "management"}, map[string]string{kind: owned})
		found, err := findConsul(t.Context(), s, apitype.ResourceV3{Type: kind, Provider: provider, Inputs: map[string]any{"name": "deploy"}})
		require.NoError(t, err)
		if !deletes {
			assert.Nil(t, found)
			continue
		}
		require.NotNil(t, found)
		require.NoError(t, found.remove(t.Context()))
		assert.True(t, strings.HasPrefix(api.asked[len(api.asked)-1], "DELETE "), api.asked)
	}
}

// A killed replacement leaves a second token beside the one in the state, which has the same URN. Only the second one goes.
func TestSettleOfAReplacement(t *testing.T) {
	for product, c := range map[string]struct{ kind, list, tokens, deletes string }{
		"consul": {"consul:index/aclToken:AclToken", "GET /v1/acl/tokens",
			`[{"AccessorID": "old", "Description": "engine"}, {"AccessorID": "new", "Description": "engine"}]`, "DELETE /v1/acl/token/new"},
		"nomad": {"nomad:index/aclToken:AclToken", "GET /v1/acl/tokens",
			`[{"AccessorID": "old", "Name": "engine", "Type": "management"}, {"AccessorID": "new", "Name": "engine", "Type": "management"}]`,
			"DELETE /v1/acl/token/new"},
	} {
		api := &answers{of: map[string]answer{c.list: {http.StatusOK, c.tokens}, c.deletes: {http.StatusOK, "true"}}}
		s, provider := serve(t, product, api, map[string]any{"token": "management", "secretId": "management"}, nil)
		token := apitype.ResourceV3{URN: resource.URN("urn:pulumi:local::hashistack::" + c.kind + "::engine"), Type: tokens.Type(c.kind), ID: "old",
			Provider: provider, Inputs: map[string]any{"description": "engine", "name": "engine", "type": "management"}}
		s.Resources = append(s.Resources, token)
		token.ID = ""
		outcome, err := s.settle(t.Context(), apitype.OperationV2{Type: apitype.OperationTypeCreating, Resource: token})
		require.NoError(t, err, product)
		assert.Contains(t, outcome, "token new, which nothing refers to yet", product)
		assert.Equal(t, []string{c.list, c.deletes}, api.asked, product)
	}
}
