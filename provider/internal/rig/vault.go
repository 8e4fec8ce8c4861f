//go:build products

package rig

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/property"
	"github.com/stretchr/testify/require"
)

// StartVault runs servers with TLS and integrated storage, which join each other. extra goes into their configuration.
func StartVault(t *testing.T, ca Authority, servers int, extra map[string]any) []*Product {
	t.Helper()
	ports := FreePorts(t, 2*servers)
	var peers []any
	for i := range servers {
		peers = append(peers, map[string]any{"leader_api_addr": "https://" + Local(ports[2*i]), "leader_ca_cert": ca.PEM})
	}
	cluster := make([]*Product, servers)
	for i := range cluster {
		dir := t.TempDir()
		ca.writeCertificate(t, dir)
		require.NoError(t, os.Mkdir(filepath.Join(dir, "data"), 0o700))
		configuration := map[string]any{
			"api_addr": "https://" + Local(ports[2*i]), "cluster_addr": "https://" + Local(ports[2*i+1]), "disable_mlock": true,
			"listener": []any{map[string]any{"tcp": map[string]any{
				"address": Local(ports[2*i]), "cluster_address": Local(ports[2*i+1]),
				"tls_cert_file": filepath.Join(dir, "cert.pem"), "tls_key_file": filepath.Join(dir, "key.pem"),
			}}},
			"storage": map[string]any{"raft": map[string]any{
				"path": filepath.Join(dir, "data"), "node_id": fmt.Sprintf("server-%d", i+1), "performance_multiplier": "1", "retry_join": peers,
			}},
		}
		for key, value := range extra {
			configuration[key] = value
		}
		writeJSON(t, filepath.Join(dir, "vault.json"), configuration)
		cluster[i] = start(t, dir, "vault", "server", "-config="+filepath.Join(dir, "vault.json"))
		cluster[i].Address = "https://" + Local(ports[2*i])
	}
	return cluster
}

// InitInputs are the inputs of VaultInit for a running cluster.
func InitInputs(ca Authority, cluster []*Product) map[string]any {
	return map[string]any{"cluster": Cluster(ca, Addresses(cluster)...), "timeout": "60s"}
}

// UnsealInputs are the inputs of VaultUnseal for server i, counted from 0.
func UnsealInputs(ca Authority, cluster []*Product, i int, keys property.Value) map[string]any {
	var plain []any
	for _, key := range keys.AsArray().All {
		plain = append(plain, key.AsString())
	}
	return map[string]any{
		"node": Nodes(Addresses(cluster)...)[i], "caPem": ca.PEM, "timeout": "60s", "keys": plain,
	}
}
