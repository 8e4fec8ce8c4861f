package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	vault "github.com/hashicorp/vault/api"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
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
func findVault(ctx context.Context, s *state, r apitype.ResourceV3) (orphan, error) {
	kind := string(r.Type)
	mount, isMount := vaultMounts[kind]
	if !isMount && kind != appRole && kind != appRoleSecretID {
		return nil, nil //nolint:nilnil // written again by the next update: there is no orphan
	}
	client, err := vaultClient(s, r)
	if err != nil {
		return nil, err
	}
	switch kind {
	case appRole:
		return s.findAppRole(ctx, client, r)
	case appRoleSecretID:
		return s.findSecretID(ctx, client, r)
	}
	path := strings.Trim(cmp.Or(text(r, mount.input), mount.path, text(r, "type")), "/")
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
	if there, ours := fmt.Sprint(details["description"]), text(r, "description"); there != ours {
		return nil, fmt.Errorf("%s%s exists with another description, %q: it is not of this stack; remove or move it, then try again",
			mount.under, path, there)
	}
	return thing{mount.under + path, func(ctx context.Context) error {
		_, err := client.Logical().DeleteWithContext(ctx, mount.under+path)
		return err
	}}, nil
}

// authMount is where the auth method of an AppRole role, or of a SecretID's role, is mounted.
func authMount(r apitype.ResourceV3) string {
	return strings.Trim(cmp.Or(text(r, "backend"), "approle"), "/")
}

// rolePath is where an AppRole role, or the role of a SecretID, is in Vault. It is also the ID of the role's resource.
func rolePath(r apitype.ResourceV3) string {
	return fmt.Sprintf("auth/%s/role/%s", authMount(r), text(r, "roleName"))
}

func (s *state) findAppRole(ctx context.Context, client *vault.Client, r apitype.ResourceV3) (orphan, error) {
	path := rolePath(r)
	found, err := client.Logical().ReadWithContext(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", path, err)
	}
	if found == nil || s.owns(path, appRole) {
		return nil, nil //nolint:nilnil // there is no orphan, or it is another resource of the stack
	}
	return thing{path, func(ctx context.Context) error {
		_, err := client.Logical().DeleteWithContext(ctx, path)
		return err
	}}, nil
}

func (s *state) findSecretID(ctx context.Context, client *vault.Client, r apitype.ResourceV3) (orphan, error) {
	role := rolePath(r) + "/secret-id/"
	body := map[string]any{"secret_id": text(r, "secretId")}
	found, err := client.Logical().WriteWithContext(ctx, role+"lookup", body)
	if err != nil {
		return nil, fmt.Errorf("look up a SecretID of role %s: %w", text(r, "roleName"), err)
	}
	if found == nil {
		return nil, nil //nolint:nilnil // there is no orphan
	}
	// Vault's accessor of a SecretID is a part of the resource's ID.
	id := fmt.Sprintf("backend=%s::role=%s::accessor=%v", authMount(r), text(r, "roleName"), found.Data["secret_id_accessor"])
	if s.owns(id, appRoleSecretID) {
		return nil, nil //nolint:nilnil // it is another resource of the stack
	}
	return thing{"the SecretID of role " + text(r, "roleName"), func(ctx context.Context) error {
		_, err := client.Logical().WriteWithContext(ctx, role+"destroy", body)
		return err
	}}, nil
}

func vaultClient(s *state, r apitype.ResourceV3) (*vault.Client, error) {
	provider, err := s.provider(r)
	if err != nil {
		return nil, err
	}
	config := vault.DefaultConfig()
	if config.Error != nil {
		return nil, config.Error
	}
	config.Address = text(provider, "address")
	ca := inProject(s.project, text(provider, "caCertFile"))
	if err := config.ConfigureTLS(&vault.TLSConfig{CACert: ca}); err != nil {
		return nil, fmt.Errorf("trust %s: %w", ca, err)
	}
	client, err := vault.NewClient(config)
	if err != nil {
		return nil, err
	}
	client.SetToken(text(provider, "token"))
	return client, nil
}
