package stack

import (
	"context"
	"fmt"
	"time"

	"hashistack/internal/names"
)

// Shift is how long the tokens of a shell are good for: as long as Vault lets those of Consul and Nomad live.
const Shift = 2 * time.Hour

// Tokens are those of somebody who works with the platform. Consul's and Nomad's end with Vault's.
type Tokens struct{ Vault, Consul, Nomad string }

// Operator logs in as somebody who runs the platform.
func (o *Outputs) Operator(ctx context.Context) (*Tokens, error) {
	return o.logIn(ctx, "auth/token/create", names.Operator, names.Management)
}

// shift are an operator's tokens for a shell; none of a platform that has no Vault yet.
func (o *Outputs) shift(ctx context.Context) (*Tokens, error) {
	if o.VaultToken == "" {
		return &Tokens{}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, AnswerTimeout)
	defer cancel()
	return o.Operator(ctx)
}

// Deployer logs in as somebody who deploys jobs.
func (o *Outputs) Deployer(ctx context.Context) (*Tokens, error) {
	return o.logIn(ctx, "auth/token/create/"+names.Deployer, names.Deployer, names.Deployer)
}

// logIn makes a token of Vault with one policy besides Vault's own default, and gets tokens of a role of Consul's and Nomad's engines with it.
func (o *Outputs) logIn(ctx context.Context, create, policy, role string) (*Tokens, error) {
	client, err := o.Vault()
	if err != nil {
		return nil, err
	}
	made, err := client.Logical().WriteWithContext(ctx, create, map[string]any{
		"policies": []string{policy}, "ttl": Shift.String(), "display_name": policy,
	})
	if err != nil {
		return nil, fmt.Errorf("make a token of Vault with the policy %s: %w", policy, err)
	}
	client.SetToken(made.Auth.ClientToken)
	tokens := &Tokens{Vault: made.Auth.ClientToken}
	for _, issued := range []struct {
		path, field string
		to          *string
	}{{names.ConsulCreds(role), "token", &tokens.Consul}, {names.NomadCreds(role), "secret_id", &tokens.Nomad}} {
		secret, err := client.Logical().ReadWithContext(ctx, issued.path)
		if err != nil {
			return nil, fmt.Errorf("with the policy %s: %w", policy, err)
		}
		value, is := secret.Data[issued.field].(string)
		if !is {
			return nil, fmt.Errorf("%s has no %s", issued.path, issued.field)
		}
		*issued.to = value
	}
	return tokens, nil
}
