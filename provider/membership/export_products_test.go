//go:build products

package membership

import (
	"context"

	"hashistack/provider/internal/cluster"
)

// HealthyVoters are the healthy voters of each product, as the first of its servers that answers sees them.
func HealthyVoters(ctx context.Context, vault, consul, nomad cluster.Cluster) (map[string][]string, error) {
	server := vault.Nodes[0].Name // in all clusters
	m, err := newMember(State{Args: Args{Machine: server, Region: "global", Vault: &vault, Consul: consul, Nomad: &nomad}})
	if err != nil {
		return nil, err
	}
	all := map[string][]string{}
	for _, q := range m.quorums {
		if all[q.String()], err = q.healthy(ctx); err != nil {
			return nil, err
		}
	}
	return all, nil
}
