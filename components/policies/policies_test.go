package policies

import (
	"io/fs"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/internal/policytest"
)

func TestPoliciesUseWordsThatTheirProductKnows(t *testing.T) {
	all, err := fs.Glob(files, "*/*.hcl")
	require.NoError(t, err)
	require.NotEmpty(t, all)
	for _, name := range all {
		t.Run(name, func(t *testing.T) {
			product := path.Dir(name)
			policy, err := render(product, strings.TrimSuffix(path.Base(name), ".hcl"), Workloads{Accessor: "auth_jwt_1", Mount: "secret"})
			require.NoError(t, err)
			policytest.Check(t, product, name, policy)
		})
	}
}

func TestWorkloadsReadTheirOwnSecretsOnly(t *testing.T) {
	policy, err := Vault("nomad-workloads", Workloads{Accessor: "auth_jwt_1", Mount: "secret"})
	require.NoError(t, err)
	namespace := "{{identity.entity.aliases.auth_jwt_1.metadata.nomad_namespace}}"
	own := namespace + "/{{identity.entity.aliases.auth_jwt_1.metadata.nomad_job_id}}"
	assert.Equal(t, map[string][]string{
		"secret/data/" + own + "/+":             {"read"}, // a job called "a/b" is not the job "a"
		"secret/metadata/" + own + "/*":         {"list"},
		"secret/data/" + namespace + "/+/+":     {"deny"}, // for a job called "+"
		"secret/metadata/" + namespace + "/+/*": {"deny"},
	}, policytest.Capabilities(t, "nomad-workloads", policy))
}

func TestProblemsNameThePolicy(t *testing.T) {
	_, err := Vault("nobody", nil)
	require.ErrorContains(t, err, "vault/nobody.hcl")
	_, err = Vault("nomad-workloads", struct{ Pool string }{"p"})
	require.ErrorContains(t, err, "vault/nomad-workloads.hcl")
}
