package settle

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	vault "github.com/hashicorp/vault/api"
)

// vaultMounts are the types that mount something: the input that holds the path, the path without that input, and where
// mounts are listed. Vault refuses a second mount at the same path. Everything else in Vault can be written twice.
var vaultMounts = map[string]struct{ input, path, under string }{
	"vault:index/mount:Mount":                           {"path", "", "sys/mounts/"},
	"vault:consul/secretBackend:SecretBackend":          {"path", "consul", "sys/mounts/"},
	"vault:index/nomadSecretBackend:NomadSecretBackend": {"backend", "nomad", "sys/mounts/"},
	"vault:index/authBackend:AuthBackend":               {"path", "", "sys/auth/"},
	"vault:jwt/authBackend:AuthBackend":                 {"path", "jwt", "sys/auth/"},
	"vault:index/audit:Audit":                           {"path", "", "sys/audit/"},
}

// These two of AppRole cannot be created twice either: a role has properties that only its creation may set, and Vault
// refuses a chosen SecretID that it knows already.
const (
	appRole         = "vault:appRole/authBackendRole:AuthBackendRole"
	appRoleSecretID = "vault:appRole/authBackendRoleSecretId:AuthBackendRoleSecretId" //nolint:gosec // a type, no credential
)

// findVault looks for what a create mounted or registered.
func findVault(ctx context.Context, s *state, r resource) (orphan, error) {
	mount, isMount := vaultMounts[r.Type]
	if !isMount && r.Type != appRole && r.Type != appRoleSecretID {
		return nil, nil //nolint:nilnil // written again by the next update: there is no orphan
	}
	client, err := vaultClient(s, r)
	if err != nil {
		return nil, err
	}
	switch r.Type {
	case appRole:
		return findAppRole(ctx, client, r)
	case appRoleSecretID:
		return findSecretID(ctx, client, r)
	}
	path := strings.Trim(cmp.Or(r.text(mount.input), mount.path, r.text("type")), "/")
	listing, err := client.Logical().ReadWithContext(ctx, strings.Trim(mount.under, "/"))
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", mount.under, err)
	}
	if listing == nil || listing.Data[path+"/"] == nil {
		return nil, nil //nolint:nilnil // there is no orphan
	}
	for other, m := range vaultMounts {
		if m.under == mount.under && s.owns(path, other) {
			return nil, nil //nolint:nilnil // it is another resource of the stack
		}
	}
	// Somebody else's mount may have been there before: the create would then have failed. The description tells whose
	// it is.
	details, _ := listing.Data[path+"/"].(map[string]any)
	if there, ours := fmt.Sprint(details["description"]), r.text("description"); there != ours {
		return nil, fmt.Errorf("%s%s exists with another description, %q: it is not of this stack; remove or move it, then try again",
			mount.under, path, there)
	}
	return thing{mount.under + path, func(ctx context.Context) error {
		_, err := client.Logical().DeleteWithContext(ctx, mount.under+path)
		return err
	}}, nil
}

// rolePath is where an AppRole role, or the role of a SecretID, is in Vault.
func rolePath(r resource) string {
	return fmt.Sprintf("auth/%s/role/%s", strings.Trim(cmp.Or(r.text("backend"), "approle"), "/"), r.text("roleName"))
}

func findAppRole(ctx context.Context, client *vault.Client, r resource) (orphan, error) {
	path := rolePath(r)
	found, err := client.Logical().ReadWithContext(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", path, err)
	}
	if found == nil {
		return nil, nil //nolint:nilnil // there is no orphan
	}
	return thing{path, func(ctx context.Context) error {
		_, err := client.Logical().DeleteWithContext(ctx, path)
		return err
	}}, nil
}

func findSecretID(ctx context.Context, client *vault.Client, r resource) (orphan, error) {
	role := rolePath(r) + "/secret-id/"
	body := map[string]any{"secret_id": r.text("secretId")}
	found, err := client.Logical().WriteWithContext(ctx, role+"lookup", body)
	if err != nil {
		return nil, fmt.Errorf("look up a SecretID of role %s: %w", r.text("roleName"), err)
	}
	if found == nil {
		return nil, nil //nolint:nilnil // there is no orphan
	}
	return thing{"the SecretID of role " + r.text("roleName"), func(ctx context.Context) error {
		_, err := client.Logical().WriteWithContext(ctx, role+"destroy", body)
		return err
	}}, nil
}

func vaultClient(s *state, r resource) (*vault.Client, error) {
	provider, err := s.provider(r)
	if err != nil {
		return nil, err
	}
	config := vault.DefaultConfig()
	if config.Error != nil {
		return nil, config.Error
	}
	config.Address = provider.text("address")
	ca := inProject(s.project, provider.text("caCertFile"))
	if err := config.ConfigureTLS(&vault.TLSConfig{CACert: ca}); err != nil {
		return nil, fmt.Errorf("trust %s: %w", ca, err)
	}
	client, err := vault.NewClient(config)
	if err != nil {
		return nil, err
	}
	client.SetToken(provider.text("token"))
	return client, nil
}
