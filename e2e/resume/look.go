package resume

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"hashistack/e2e/stack"
)

// look checks, without asking pulumi, whether something exists. It returns nil if it does.
type look func(ctx context.Context) error

func networkExists(_ context.Context, s *stack.Stack) (look, error) {
	cloud, err := s.Hetzner()
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		network, _, err := cloud.Network.GetByName(ctx, "hashistack")
		if err == nil && network == nil {
			err = errors.New("there is no network")
		}
		return err
	}, nil
}

func serverExists(name string) func(context.Context, *stack.Stack) (look, error) {
	return func(_ context.Context, s *stack.Stack) (look, error) {
		cloud, err := s.Hetzner()
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) error {
			server, _, err := cloud.Server.GetByName(ctx, name)
			if err == nil && server == nil {
				err = fmt.Errorf("there is no %s", name)
			}
			return err
		}, nil
	}
}

// vaultInitialised asks Vault whether it is initialised. That needs no token, and there is none yet.
func vaultInitialised(ctx context.Context, s *stack.Stack) (look, error) {
	cloud, err := s.Hetzner()
	if err != nil {
		return nil, err
	}
	server, _, err := cloud.Server.GetByName(ctx, "server-1")
	if err != nil {
		return nil, err
	}
	if server == nil {
		return nil, errors.New("server-1 does not exist")
	}
	pem, err := os.ReadFile(filepath.Join(s.Root, ".ca", stack.Name+".pem"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New("the root certificate cannot be read")
	}
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+server.PublicNet.IPv4.IP.String()+":8200/v1/sys/init", nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close() //nolint:errcheck // only read
		var answer struct {
			Initialized bool `json:"initialized"`
		}
		if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
			return err
		}
		if !answer.Initialized {
			return errors.New("Vault is not initialised")
		}
		return nil
	}, nil
}

// mountExists looks into Vault with the root token, which is in the state by then.
func mountExists(path string) func(context.Context, *stack.Stack) (look, error) {
	return func(ctx context.Context, s *stack.Stack) (look, error) {
		outputs, err := s.Credentials(ctx)
		if err != nil {
			return nil, err
		}
		client, err := outputs.Vault()
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) error {
			mounts, err := client.Sys().ListMountsWithContext(ctx)
			if err == nil && mounts[path+"/"] == nil {
				err = fmt.Errorf("there is no mount %s", path)
			}
			return err
		}, nil
	}
}

// roleExists looks for an AppRole role in Vault.
func roleExists(name string) func(context.Context, *stack.Stack) (look, error) {
	return func(ctx context.Context, s *stack.Stack) (look, error) {
		outputs, err := s.Credentials(ctx)
		if err != nil {
			return nil, err
		}
		client, err := outputs.Vault()
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) error {
			role, err := client.Logical().ReadWithContext(ctx, "auth/approle/role/"+name)
			if err == nil && role == nil {
				err = fmt.Errorf("there is no role %s", name)
			}
			return err
		}, nil
	}
}

// consulTokenExists looks for the token that Vault's Consul engine is to get.
func consulTokenExists(ctx context.Context, s *stack.Stack) (look, error) {
	outputs, err := s.Credentials(ctx)
	if err != nil {
		return nil, err
	}
	client, err := outputs.Consul()
	if err != nil {
		return nil, err
	}
	return func(context.Context) error {
		tokens, _, err := client.ACL().TokenList(nil)
		if err != nil {
			return err
		}
		for _, token := range tokens {
			if strings.HasPrefix(token.Description, "Vault's") {
				return nil
			}
		}
		return errors.New("there is no such token in Consul")
	}, nil
}

// nomadTokenExists looks for the token that Vault's Nomad engine is to get.
func nomadTokenExists(ctx context.Context, s *stack.Stack) (look, error) {
	outputs, err := s.Credentials(ctx)
	if err != nil {
		return nil, err
	}
	client, err := outputs.Nomad()
	if err != nil {
		return nil, err
	}
	return func(context.Context) error {
		tokens, _, err := client.ACLTokens().List(nil)
		if err != nil {
			return err
		}
		for _, token := range tokens {
			if strings.HasPrefix(token.Name, "Vault's") {
				return nil
			}
		}
		return errors.New("there is no such token in Nomad")
	}, nil
}
