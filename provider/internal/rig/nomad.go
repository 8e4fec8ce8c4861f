//go:build products

package rig

import (
	"fmt"
	"path/filepath"
	"testing"
)

// StartNomad runs a cluster of servers with TLS and ACLs.
func StartNomad(t *testing.T, ca Authority, servers int, changes ...func(config map[string]any)) []*Product {
	t.Helper()
	ports := FreePorts(t, 3*servers)
	cluster := make([]*Product, servers)
	for i := range cluster {
		dir := t.TempDir()
		ca.writeCertificate(t, dir, "server.global.nomad", "localhost")
		config := map[string]any{
			"name": fmt.Sprintf("server-%d", i+1), "data_dir": filepath.Join(dir, "data"), "bind_addr": "127.0.0.1",
			"ports": []any{map[string]any{"http": ports[3*i], "rpc": ports[3*i+1], "serf": ports[3*i+2]}},
			"server": []any{map[string]any{
				"enabled": true, "bootstrap_expect": servers, "raft_multiplier": 1,
				"server_join": []any{map[string]any{"retry_join": []string{Local(ports[2])}, "retry_interval": "1s"}},
			}},
			"acl":       []any{map[string]any{"enabled": true}},
			"consul":    []any{map[string]any{"auto_advertise": false, "server_auto_join": false, "client_auto_join": false}},
			"advertise": []any{map[string]any{"http": Local(ports[3*i]), "rpc": Local(ports[3*i+1]), "serf": Local(ports[3*i+2])}},
			"tls": []any{map[string]any{
				"http": true, "rpc": true, "verify_server_hostname": true, "verify_https_client": false,
				"ca_file": filepath.Join(dir, "ca.pem"), "cert_file": filepath.Join(dir, "cert.pem"), "key_file": filepath.Join(dir, "key.pem"),
			}},
		}
		for _, change := range changes {
			change(config)
		}
		writeJSON(t, filepath.Join(dir, "nomad.json"), config)
		cluster[i] = start(t, dir, "nomad", "agent", "-config="+filepath.Join(dir, "nomad.json"))
		cluster[i].Address = "https://" + Local(ports[3*i])
	}
	return cluster
}
