package bridge

import (
	"testing"

	shim "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/schema"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// provider is a Terraform provider of one resource type with one property.
func provider(resourceType, property string) shim.Provider {
	return (&schema.Provider{
		ResourcesMap: schema.ResourceMap{
			resourceType: (&schema.Resource{Schema: schema.SchemaMap{
				property: (&schema.Schema{Type: shim.TypeString, Optional: true}).Shim(),
			}}).Shim(),
		},
		DataSourcesMap: schema.ResourceMap{},
	}).Shim()
}

func TestNew(t *testing.T) {
	t.Run("takes the official token", func(t *testing.T) {
		info, err := New("vault", "6.7.4", provider("vault_approle_auth_backend_role", "role_name"))
		require.NoError(t, err)
		resource := info.Resources["vault_approle_auth_backend_role"]
		assert.EqualValues(t, "vault:appRole/authBackendRole:AuthBackendRole", resource.Tok)
		assert.Empty(t, resource.Fields, "the bridge's rule gives the official name by itself")
	})
	t.Run("takes the official property name", func(t *testing.T) {
		info, err := New("vault", "6.7.4", provider("vault_pki_secret_backend_role", "ou"))
		require.NoError(t, err)
		resource := info.Resources["vault_pki_secret_backend_role"]
		require.Contains(t, resource.Fields, "ou")
		assert.Equal(t, "organizationUnit", resource.Fields["ou"].Name)
	})
	t.Run("leaves out what the official plugin does not have", func(t *testing.T) {
		info, err := New("vault", "6.7.4", provider("vault_of_tomorrow", "x"))
		require.NoError(t, err)
		assert.Empty(t, info.Resources)
		assert.Equal(t, []string{"vault_of_tomorrow"}, info.IgnoreMappings)
	})
	t.Run("wants a version", func(t *testing.T) {
		_, err := New("vault", "", provider("vault_mount", "path"))
		assert.ErrorContains(t, err, "tools/build")
	})
	t.Run("knows its plugins", func(t *testing.T) {
		_, err := New("aws", "1.0.0", provider("aws_instance", "ami"))
		assert.ErrorContains(t, err, `"aws"`)
	})
}
