//go:build products

package membership

import (
	"context"

	"hashistack/provider/internal/cluster"
)

// Observer is a member of all clusters that is asked what they look like.
type Observer struct{ *member }

// Observe makes an observer of the first of the clusters' servers.
func Observe(vault, consul, nomad cluster.Cluster) (Observer, error) {
	m, err := newMember(State{Args: Args{Machine: vault.Nodes[0].Name, Region: "global", Vault: &vault, Consul: consul, Nomad: &nomad}})
	return Observer{m}, err
}

// HealthyVoters are those of each product.
func (o Observer) HealthyVoters(ctx context.Context) (all map[string][]string, err error) {
	all = map[string][]string{}
	for _, q := range o.quorums {
		if all[q.String()], err = q.healthy(ctx); err != nil {
			return nil, err
		}
	}
	return all, nil
}
