package stack

import (
	"fmt"
	"net/http"
	"time"

	consul "github.com/hashicorp/consul/api"
	nomad "github.com/hashicorp/nomad/api"
	vault "github.com/hashicorp/vault/api"
	"github.com/hetznercloud/hcloud-go/v2/hcloud"
)

// AnswerTimeout bounds the wait for one server, after which a client asks the next.
const AnswerTimeout = 4 * time.Second

// Hetzner is a client of the local cloud.
func (s *Stack) Hetzner() (*hcloud.Client, error) {
	token, err := s.token()
	if err != nil {
		return nil, err
	}
	return hcloud.NewClient(hcloud.WithToken(token), hcloud.WithEndpoint("http://"+CloudAddress+"/v1")), nil
}

// Vault is a client with the stack's token. It trusts the stack's root certificate and no other.
func (o *Outputs) Vault() (*vault.Client, error) {
	config := vault.DefaultConfig()
	if config.Error != nil {
		return nil, config.Error
	}
	config.Address = o.VaultAddress
	if err := config.ConfigureTLS(&vault.TLSConfig{CACert: o.CAFile}); err != nil {
		return nil, fmt.Errorf("trust %s: %w", o.CAFile, err)
	}
	// Every request makes a new handshake, so that it meets the current certificate, and leaves no connection behind.
	config.HttpClient.Transport.(*http.Transport).DisableKeepAlives = true
	client, err := vault.NewClient(config)
	if err != nil {
		return nil, fmt.Errorf("client of Vault: %w", err)
	}
	client.SetToken(o.VaultToken)
	return client, nil
}

// Consul is a client with the stack's token. It trusts the stack's root certificate and no other.
func (o *Outputs) Consul() (*consul.Client, error) {
	config := consul.DefaultNonPooledConfig()
	config.Address, config.Token = o.ConsulAddress, o.ConsulToken
	config.TLSConfig = consul.TLSConfig{CAFile: o.CAFile}
	client, err := consul.NewClient(config)
	if err != nil {
		return nil, fmt.Errorf("client of Consul: %w", err)
	}
	return client, nil
}

// Nomad is a client with the stack's token. It trusts the stack's root certificate and no other.
func (o *Outputs) Nomad() (*nomad.Client, error) {
	client, err := nomad.NewClient(&nomad.Config{
		Address: o.NomadAddress, SecretID: o.NomadToken, TLSConfig: &nomad.TLSConfig{CACert: o.CAFile},
	})
	if err != nil {
		return nil, fmt.Errorf("client of Nomad: %w", err)
	}
	return client, nil
}

// VaultAt is Vault for another address than the stack's own.
func (o *Outputs) VaultAt(address string) (*vault.Client, error) {
	at := *o
	at.VaultAddress = address
	return at.Vault()
}

// ConsulAt is Consul for another address than the stack's own.
func (o *Outputs) ConsulAt(address string) (*consul.Client, error) {
	at := *o
	at.ConsulAddress = address
	return at.Consul()
}

// NomadAt is Nomad for another address than the stack's own.
func (o *Outputs) NomadAt(address string) (*nomad.Client, error) {
	at := *o
	at.NomadAddress = address
	return at.Nomad()
}
