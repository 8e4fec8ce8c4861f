//go:build products

package gossip_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	nomad "github.com/hashicorp/nomad/api"
	p "github.com/pulumi/pulumi-go-provider"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/provider/gossip"
	"hashistack/provider/internal/api"
	"hashistack/provider/internal/cluster"
	"hashistack/provider/internal/rig"
)

// gossiper is a product under test.
type gossiper struct {
	name      string
	bootstrap string // resource type
	// start runs three servers with a gossip key.
	start func(t *testing.T, ca rig.Authority, key string) []*rig.Product
	// join starts one more agent with a gossip key, which tries to join the cluster.
	join func(t *testing.T, ca rig.Authority, cluster []*rig.Product, key string)
	// alive counts the members that a server finds alive, after a read that needs the whole cluster.
	alive func(t *testing.T, ca rig.Authority, server *rig.Product) (int, error)
}

func gossipers() []gossiper {
	return []gossiper{
		{
			"consul", "ConsulBootstrap",
			func(t *testing.T, ca rig.Authority, key string) []*rig.Product {
				return rig.StartConsul(t, ca, 3, func(config map[string]any) {
					config["encrypt"] = key
					config["ports"].(map[string]any)["serf_wan"] = rig.FreePorts(t, 1)[0]
				})
			},
			func(t *testing.T, ca rig.Authority, cluster []*rig.Product, key string) {
				rig.StartConsul(t, ca, 1, func(config map[string]any) {
					config["encrypt"], config["node_name"], config["server"] = key, "newcomer", false
					config["retry_join"], config["retry_interval"] = joinAddresses(t, ca, cluster), "1s"
					delete(config, "bootstrap_expect")
				})
			},
			func(t *testing.T, ca rig.Authority, server *rig.Product) (int, error) {
				client := consulAt(t, ca, server)
				if _, _, err := client.Catalog().Nodes(nil); err != nil {
					return 0, err
				}
				members, err := client.Agent().Members(false)
				return countIf(members, func(m *consul.AgentMember) bool { return m.Status == 1 }), err
			},
		},
		{
			"nomad", "NomadBootstrap",
			func(t *testing.T, ca rig.Authority, key string) []*rig.Product {
				return rig.StartNomad(t, ca, 3, func(config map[string]any) {
					config["server"].([]any)[0].(map[string]any)["encrypt"] = key
				})
			},
			func(t *testing.T, ca rig.Authority, cluster []*rig.Product, key string) {
				rig.StartNomad(t, ca, 1, func(config map[string]any) {
					config["name"] = "newcomer"
					server := config["server"].([]any)[0].(map[string]any)
					server["encrypt"] = key
					delete(server, "bootstrap_expect")
					server["server_join"].([]any)[0].(map[string]any)["retry_join"] = serfAddresses(t, ca, cluster)
				})
			},
			func(t *testing.T, ca rig.Authority, server *rig.Product) (int, error) {
				client := nomadAt(t, ca, server)
				if _, _, err := client.Jobs().List(nil); err != nil {
					return 0, err
				}
				members, err := client.Agent().Members()
				if err != nil {
					return 0, err
				}
				return countIf(members.Members, func(m *nomad.AgentMember) bool { return m.Status == "alive" }), nil
			},
		},
	}
}

func countIf[T any](list []T, is func(T) bool) (count int) {
	for _, item := range list {
		if is(item) {
			count++
		}
	}
	return count
}

func consulAt(t *testing.T, ca rig.Authority, server *rig.Product) *consul.Client {
	t.Helper()
	client, err := api.NewConsulClient(cluster.Node{Name: "server", Address: server.Address}, ca.PEM, rig.Secret, api.RequestTimeout)
	require.NoError(t, err)
	return client
}

func nomadAt(t *testing.T, ca rig.Authority, server *rig.Product) *nomad.Client {
	t.Helper()
	client, err := api.NewNomadClient(cluster.Node{Name: "server", Address: server.Address}, ca.PEM, rig.Secret, api.RequestTimeout)
	require.NoError(t, err)
	return client
}

// joinAddresses is where Consul's servers gossip.
func joinAddresses(t *testing.T, ca rig.Authority, cluster []*rig.Product) []string {
	t.Helper()
	members, err := consulAt(t, ca, cluster[0]).Agent().Members(false)
	require.NoError(t, err)
	var list []string
	for _, member := range members {
		list = append(list, rig.Local(int(member.Port)))
	}
	return list
}

// serfAddresses is where Nomad's servers gossip.
func serfAddresses(t *testing.T, ca rig.Authority, cluster []*rig.Product) []string {
	t.Helper()
	members, err := nomadAt(t, ca, cluster[0]).Agent().Members()
	require.NoError(t, err)
	var list []string
	for _, member := range members.Members {
		list = append(list, rig.Local(int(member.Port)))
	}
	return list
}

// prober reads from every server, several times a second, until it is stopped.
type prober struct {
	sync.WaitGroup
	stop     context.CancelFunc
	mutex    sync.Mutex
	probes   int
	failures []string
}

func startProber(t *testing.T, ca rig.Authority, product gossiper, cluster []*rig.Product) *prober {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r := &prober{stop: stop}
	for i, server := range cluster {
		r.Go(func() {
			for tick := time.Tick(100 * time.Millisecond); ctx.Err() == nil; <-tick {
				alive, err := product.alive(t, ca, server)
				r.mutex.Lock()
				r.probes++
				if err != nil || alive < len(cluster) {
					r.failures = append(r.failures, fmt.Sprintf("server %d: %d alive, %v", i+1, alive, err))
				}
				r.mutex.Unlock()
			}
		})
	}
	return r
}

// keysOf are the keys of a cluster, sorted, and how many members know the one that the fewest know.
func keysOf(t *testing.T, server gossip.Server) (keys []string, fewest int) {
	t.Helper()
	keys, fewest, err := server.Keys(t.Context())
	require.NoError(t, err)
	return keys, fewest
}

// A rotation that is interrupted after each of its steps, under a load of reads, with a newcomer in the middle of it.
func TestGossipRotation(t *testing.T) {
	t.Parallel()
	const thirdKey = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
	for _, product := range gossipers() {
		t.Run(product.name, func(t *testing.T) {
			t.Parallel()
			ca := rig.NewAuthority(t)
			servers := product.start(t, ca, rig.GossipKey)
			rig.New(t.Context(), t, product.bootstrap, product.name).MustCreate(rig.ACLInputs(ca, servers))

			old := map[string]any{
				"product": product.name, "cluster": rig.ClusterWith(ca, rig.Secret, rig.Addresses(servers)...), "key": rig.GossipKey, "timeout": "60s",
			}
			next := rig.With(old, "key", rig.OtherGossipKey)
			install, use := rig.New(t.Context(), t, "GossipInstall", "gossip"), rig.New(t.Context(), t, "GossipUse", "gossip")
			server, err := gossip.Connect(product.name, cluster.Node{Name: "server-1", Address: servers[0].Address}, ca.PEM, rig.Secret)
			require.NoError(t, err)

			// A new cluster has its key.
			installed, used := install.MustCreate(old), use.MustCreate(old)
			assert.True(t, used.Properties.Get("key").Secret())
			assert.True(t, used.Properties.Get("cluster").AsMap().Get("token").Secret())
			assert.True(t, used.Properties.Get("sole").AsBool())
			keys, fewest := keysOf(t, server)
			assert.Equal(t, []string{rig.GossipKey}, keys)
			assert.Equal(t, 3, fewest)

			probes := startProber(t, ca, product, servers)
			_, err = install.Update(installed.Properties, old, next)
			require.NoError(t, err)
			keys, fewest = keysOf(t, server)
			assert.Equal(t, []string{rig.GossipKey, rig.OtherGossipKey}, keys)
			assert.Equal(t, 3, fewest, "every member knows both")

			// Interrupted here, and taken up again.
			_, err = install.Update(installed.Properties, old, next)
			require.NoError(t, err)
			// New machines get the new key from now on.
			product.join(t, ca, servers, rig.OtherGossipKey)

			// Interrupted between use and remove, and taken up again.
			require.NoError(t, server.UseKey(t.Context(), rig.OtherGossipKey))
			refreshed := use.Read(used, old)
			assert.False(t, refreshed.Properties.Get("sole").AsBool())
			updated, err := use.Update(refreshed.Properties, old, next)
			require.NoError(t, err)
			assert.True(t, updated.Properties.Get("sole").AsBool())

			rig.Eventually(t, "the newcomer is a member", func() bool {
				alive, err := product.alive(t, ca, servers[0])
				return err == nil && alive == 4
			})
			again, err := use.Update(updated.Properties, next, next)
			require.NoError(t, err)
			keys, _ = keysOf(t, server)
			assert.Equal(t, []string{rig.OtherGossipKey}, keys)
			probes.stop()
			probes.Wait()
			assert.Empty(t, probes.failures)
			assert.Greater(t, probes.probes, 30)
			t.Logf("%d reads, none failed", probes.probes)

			// Somebody adds a key by hand: a refresh shows it, an update mends it.
			current := p.CreateResponse{ID: used.ID, Properties: again.Properties}
			assert.Equal(t, again.Properties, use.Read(current, next).Properties, "a refresh must not show a difference")
			require.NoError(t, server.InstallKey(t.Context(), thirdKey))
			drifted := use.Read(current, next)
			assert.True(t, use.Diff(drifted.Properties, next, next).HasChanges)
			_, err = use.Update(drifted.Properties, next, next)
			require.NoError(t, err)
			keys, _ = keysOf(t, server)
			assert.Equal(t, []string{rig.OtherGossipKey}, keys)

			// A server that is away would come back with the old key: nothing is changed behind its back, neither while
			// the cluster waits for it nor when it has given it up.
			servers[2].Stop(t)
			refused := func(want string) {
				_, err := install.Update(installed.Properties, old, rig.With(rig.With(old, "key", thirdKey), "timeout", "20s"))
				require.Error(t, err)
				t.Log(err)
				assert.Regexp(t, want, err.Error())
				assert.False(t, strings.Contains(err.Error(), thirdKey) || strings.Contains(err.Error(), rig.Secret))
			}
			refused("-3.*failed, and would come back|server-3 .*would come back")
			rig.Eventually(t, "the cluster gives it up", func() bool {
				if product.name == "consul" { // which waits for 72 hours by itself
					if err := consulAt(t, ca, servers[0]).Agent().ForceLeave("server-3"); err != nil {
						return false
					}
				}
				alive, failed, err := server.Members(t.Context())
				return err == nil && len(failed) == 0 && !slices.ContainsFunc(alive, func(name string) bool { return strings.Contains(name, "-3") })
			})
			refused("server-3 .*would come back")
			rig.Eventually(t, "no member has the key", func() bool {
				sole, err := server.Sole(t.Context(), rig.OtherGossipKey)
				return err == nil && sole
			})
		})
	}
}
