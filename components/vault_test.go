package components

import (
	"fmt"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"

	"hashistack/internal/names"
	"hashistack/internal/pulumitest"
)

// apis are an API on all servers, as our own provider takes it.
func apis(port int) []any {
	all := []any{}
	for _, m := range serverMachines {
		all = append(all, map[string]any{"name": m.name, "address": fmt.Sprintf("https://%s:%d", m.public, port)})
	}
	return all
}

// assertCluster asserts an input of our own provider: the cluster of all servers, with a token that is a secret or without.
func assertCluster(t *testing.T, declared pulumitest.Resource, name string, port int, token string) {
	t.Helper()
	cluster := map[string]any{"nodes": apis(port), "caPem": rootPEM}
	if token != "" {
		cluster["token"] = token
	}
	assert.Equal(t, cluster, declared.Input(name), "%s of %s %s", name, declared.Type, declared.Name)
	assert.NotContains(t, declared.Plain(), name+".token")
}

func TestVaultBootstrap(t *testing.T) {
	p := newPlatform(t)
	initialised := p.One(t, "hashistack:index:VaultInit", "vault")
	assertCluster(t, initialised, "cluster", 8200, "")
	assertInputs(t, initialised, want{
		"shares": 1, "threshold": 1, "autoUnseal": false, "pgpKeys": nil,
	})
	assert.Len(t, p.All("hashistack:index:VaultUnseal"), len(serverMachines)+1)
	for i, m := range serverMachines {
		server := p.One(t, "hcloud:index/server:Server", m.name)
		unsealed := p.One(t, "hashistack:index:VaultUnseal", m.name)
		assertSecret(t, unsealed, "keys", list(unsealKey))
		assertInputs(t, unsealed, want{
			"node": apis(8200)[i], "caPem": rootPEM,
			"machineId": server.ID, // a new machine is unsealed anew
		})
	}
}

func TestVaultIsUsedOnceItIsUnsealed(t *testing.T) {
	p := newPlatform(t)
	provider := p.One(t, "pulumi:providers:vault", "vault")
	assertSecret(t, provider, "token", vaultToken)
	assertInputs(t, provider, want{
		"address": "https://203.0.113.1:8200", "caCertFile": p.rootPEM, "skipTlsVerify": nil, "skipChildToken": true,
	})
	// One that knows of no machine: nothing in Vault waits for one that is replaced.
	first := p.One(t, "hashistack:index:VaultUnseal", "vault")
	assertInputs(t, first, want{"node": apis(8200)[0], "caPem": rootPEM, "machineId": nil})
	assertSecret(t, first, "keys", list(unsealKey))
	waited := p.dependencies(provider)
	assert.Contains(t, waited, "hashistack:index:VaultUnseal vault")
	for _, m := range serverMachines {
		assert.NotContains(t, waited, "hashistack:index:VaultUnseal "+m.name)
	}
	assertInputs(t, p.One(t, "vault:index/audit:Audit", "file"), want{"type": "file", "options.file_path": names.VaultAuditLog})
	assertInputs(t, p.One(t, "vault:index/audit:Audit", "syslog"), want{"type": "syslog", "path": "syslog", "options.tag": names.VaultAuditTag})
	assertInputs(t, p.One(t, "vault:index/mount:Mount", "platform"), want{"path": "platform", "type": "kv", "options.version": "2"})
}

func TestVaultWithKeyManagementService(t *testing.T) {
	p := emptyPlatform(t)
	p.Outputs["hashistack:index:VaultInit"]["unsealKeys"] = resource.NewProperty([]resource.PropertyValue{})
	p.Outputs["hashistack:index:VaultInit"]["recoveryKeys"] = resource.NewProperty([]resource.PropertyValue{resource.NewProperty("for alice")})
	var keys []string
	p.Run(t, func(ctx *pulumi.Context) (err error) {
		if err = p.declareGround(ctx); err != nil {
			return err
		}
		pool, err := NewMachinePool(ctx, p.pool("server", serverMachines[:1], serverRoles))
		if err != nil {
			return err
		}
		p.pools = []*MachinePool{pool}
		if err := p.boot(ctx); err != nil {
			return err
		}
		vault, err := NewVault(ctx, "vault", &VaultArgs{
			Machines: []Machine{pool.Machines[0].Machine}, Trust: p.trust, Site: p.network.Site(patience), AutoSeal: true,
			Keys: VaultKeys{Shares: 2, Threshold: 2, PGPKeys: []string{"alice", "bob"}},
		})
		if err != nil {
			return err
		}
		vault.Keys.ApplyT(func(are []string) []string { keys = are; return are })
		return nil
	})
	assertInputs(t, p.One(t, "hashistack:index:VaultInit", "vault"), want{
		"autoUnseal": true, "shares": 2, "threshold": 2, "pgpKeys": list("alice", "bob"),
	})
	assert.Equal(t, []string{"for alice"}, keys, "those that the service makes necessary")
	assertSecret(t, p.One(t, "hashistack:index:VaultUnseal", "server-1"), "keys", list[string]())
	assert.Contains(t, p.dependencies(p.One(t, "pulumi:providers:vault", "vault")), "hashistack:index:VaultUnseal vault",
		"the service unseals it, which is waited for")
}
