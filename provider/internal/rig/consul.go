//go:build products

package rig

import (
	"fmt"
	"path/filepath"
	"testing"
)

// StartConsul runs a cluster of servers with TLS, and ACLs that deny by default.
func StartConsul(t *testing.T, ca Authority, servers int, changes ...func(config map[string]any)) []*Product {
	t.Helper()
	ports := FreePorts(t, 3*servers)
	cluster := make([]*Product, servers)
	for i := range cluster {
		dir := t.TempDir()
		ca.writeCertificate(t, dir, "server.dc1.consul", "localhost")
		config := map[string]any{
			"server": true, "node_name": fmt.Sprintf("server-%d", i+1), "bootstrap_expect": servers,
			"data_dir": filepath.Join(dir, "data"), "bind_addr": "127.0.0.1", "client_addr": "127.0.0.1",
			"ports": map[string]any{
				"https": ports[3*i], "server": ports[3*i+1], "serf_lan": ports[3*i+2],
				"http": -1, "dns": -1, "grpc": -1, "grpc_tls": -1, "serf_wan": -1,
			},
			"retry_join":  []string{Local(ports[2])},
			"acl":         map[string]any{"enabled": true, "default_policy": "deny"},
			"performance": map[string]any{"raft_multiplier": 1},
			"tls": map[string]any{
				"defaults": map[string]any{
					"ca_file": filepath.Join(dir, "ca.pem"), "cert_file": filepath.Join(dir, "cert.pem"), "key_file": filepath.Join(dir, "key.pem"),
					"verify_outgoing": true, "verify_incoming": true,
				},
				"https":        map[string]any{"verify_incoming": false},
				"internal_rpc": map[string]any{"verify_server_hostname": true},
			},
		}
		for _, change := range changes {
			change(config)
		}
		writeJSON(t, filepath.Join(dir, "consul.json"), config)
		cluster[i] = start(t, dir, "consul", "agent", "-config-file="+filepath.Join(dir, "consul.json"))
		cluster[i].Address = "https://" + Local(ports[3*i])
	}
	return cluster
}
