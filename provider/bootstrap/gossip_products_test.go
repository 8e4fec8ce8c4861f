//go:build products

package bootstrap

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	nomad "github.com/hashicorp/nomad/api"
	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// gossiper is a product under test.
type gossiper struct {
	name      string
	bootstrap string // resource type
	// start runs three servers with a gossip key.
	start func(t *testing.T, ca authority, key string) []*product
	// join starts one more agent with a gossip key, which tries to join the cluster.
	join func(t *testing.T, ca authority, cluster []*product, key string)
	// alive counts the members that a server finds alive, after a read that needs the whole cluster.
	alive func(t *testing.T, ca authority, server *product) (int, error)
}

func gossipers() []gossiper {
	return []gossiper{
		{
			"consul", "ConsulBootstrap",
			func(t *testing.T, ca authority, key string) []*product {
				return startConsul(t, ca, 3, func(config map[string]any) {
					config["encrypt"] = key
					config["ports"].(map[string]any)["serf_wan"] = freePorts(t, 1)[0]
				})
			},
			func(t *testing.T, ca authority, cluster []*product, key string) {
				startConsul(t, ca, 1, func(config map[string]any) {
					config["encrypt"], config["node_name"], config["server"] = key, "newcomer", false
					config["retry_join"], config["retry_interval"] = joinAddresses(t, ca, cluster), "1s"
					delete(config, "bootstrap_expect")
				})
			},
			func(t *testing.T, ca authority, server *product) (int, error) {
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
			func(t *testing.T, ca authority, key string) []*product {
				return startNomad(t, ca, 3, func(config map[string]any) {
					config["server"].([]any)[0].(map[string]any)["encrypt"] = key
				})
			},
			func(t *testing.T, ca authority, cluster []*product, key string) {
				startNomad(t, ca, 1, func(config map[string]any) {
					config["name"] = "newcomer"
					server := config["server"].([]any)[0].(map[string]any)
					server["encrypt"] = key
					delete(server, "bootstrap_expect")
					server["server_join"].([]any)[0].(map[string]any)["retry_join"] = serfAddresses(t, ca, cluster)
				})
			},
			func(t *testing.T, ca authority, server *product) (int, error) {
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

func consulAt(t *testing.T, ca authority, server *product) *consul.Client {
	t.Helper()
	http, err := httpClient(ca.pem)
	require.NoError(t, err)
	http.Timeout = requestTimeout
	client, err := consul.NewClient(&consul.Config{Address: server.address, HttpClient: http, Token: secret})
	require.NoError(t, err)
	return client
}

func nomadAt(t *testing.T, ca authority, server *product) *nomad.Client {
	t.Helper()
	http, err := httpClient(ca.pem)
	require.NoError(t, err)
	http.Timeout = requestTimeout
	client, err := nomad.NewClient(&nomad.Config{Address: server.address, HttpClient: http, SecretID: secret})
	require.NoError(t, err)
	return client
}

// joinAddresses is where Consul's servers gossip.
func joinAddresses(t *testing.T, ca authority, cluster []*product) []string {
	t.Helper()
	members, err := consulAt(t, ca, cluster[0]).Agent().Members(false)
	require.NoError(t, err)
	var list []string
	for _, member := range members {
		list = append(list, local(int(member.Port)))
	}
	return list
}

// serfAddresses is where Nomad's servers gossip.
func serfAddresses(t *testing.T, ca authority, cluster []*product) []string {
	t.Helper()
	members, err := nomadAt(t, ca, cluster[0]).Agent().Members()
	require.NoError(t, err)
	var list []string
	for _, member := range members.Members {
		list = append(list, local(int(member.Port)))
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

func startProber(t *testing.T, ca authority, product gossiper, cluster []*product) *prober {
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

// keysOf are the keys of a cluster, sorted, and how many members have each.
func keysOf(t *testing.T, ring ring) (keys []string, fewest int) {
	t.Helper()
	pools, err := ring.list(t.Context())
	require.NoError(t, err)
	all := map[string]bool{}
	fewest = pools[0].members
	for _, pool := range pools {
		for key, members := range pool.keys {
			all[key] = true
			fewest = min(fewest, members)
		}
	}
	return slices.Sorted(maps.Keys(all)), fewest
}

func (s subject) update(state property.Map, oldInputs, inputs map[string]any) (p.UpdateResponse, error) {
	s.t.Helper()
	return s.server.Update(p.UpdateRequest{
		ID: s.urn.Name(), Urn: s.urn, State: state, OldInputs: s.checked(oldInputs), Inputs: s.checked(inputs),
	})
}

// A rotation that is interrupted after each of its steps, under a load of reads, with a newcomer in the middle of it.
func TestGossipRotation(t *testing.T) {
	t.Parallel()
	const thirdKey = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
	for _, product := range gossipers() {
		t.Run(product.name, func(t *testing.T) {
			t.Parallel()
			ca := newAuthority(t)
			cluster := product.start(t, ca, gossipKey)
			newSubject(t.Context(), t, product.bootstrap, product.name).mustCreate(aclInputs(ca, cluster))

			old := map[string]any{
				"product": product.name, "nodes": nodes(addresses(cluster)...), "caPem": ca.pem, "token": secret, "key": gossipKey, "timeout": "60s",
			}
			next := with(old, "key", otherGossipKey)
			install, use := newSubject(t.Context(), t, "GossipInstall", "gossip"), newSubject(t.Context(), t, "GossipUse", "gossip")
			ring, err := rings[product.name](Node{"server-1", cluster[0].address}, GossipArgs{CaPem: ca.pem, Token: secret})
			require.NoError(t, err)

			// A new cluster has its key.
			installed, used := install.mustCreate(old), use.mustCreate(old)
			assert.True(t, used.Properties.Get("key").Secret())
			assert.True(t, used.Properties.Get("token").Secret())
			assert.True(t, used.Properties.Get("sole").AsBool())
			keys, fewest := keysOf(t, ring)
			assert.Equal(t, []string{gossipKey}, keys)
			assert.Equal(t, 3, fewest)

			probes := startProber(t, ca, product, cluster)
			_, err = install.update(installed.Properties, old, next)
			require.NoError(t, err)
			keys, fewest = keysOf(t, ring)
			assert.Equal(t, []string{gossipKey, otherGossipKey}, keys)
			assert.Equal(t, 3, fewest, "every member knows both")

			// Interrupted here, and taken up again.
			_, err = install.update(installed.Properties, old, next)
			require.NoError(t, err)
			// New machines get the new key from now on.
			product.join(t, ca, cluster, otherGossipKey)

			// Interrupted between use and remove, and taken up again.
			require.NoError(t, ring.use(t.Context(), otherGossipKey))
			refreshed := use.read(used, old)
			assert.False(t, refreshed.Properties.Get("sole").AsBool())
			updated, err := use.update(refreshed.Properties, old, next)
			require.NoError(t, err)
			assert.True(t, updated.Properties.Get("sole").AsBool())

			eventually(t, "the newcomer is a member", func() bool {
				alive, err := product.alive(t, ca, cluster[0])
				return err == nil && alive == 4
			})
			again, err := use.update(updated.Properties, next, next)
			require.NoError(t, err)
			keys, _ = keysOf(t, ring)
			assert.Equal(t, []string{otherGossipKey}, keys)
			probes.stop()
			probes.Wait()
			assert.Empty(t, probes.failures)
			assert.Greater(t, probes.probes, 30)
			t.Logf("%d reads, none failed", probes.probes)

			// Somebody adds a key by hand: a refresh shows it, an update mends it.
			current := p.CreateResponse{ID: used.ID, Properties: again.Properties}
			assert.Equal(t, again.Properties, use.read(current, next).Properties, "a refresh must not show a difference")
			require.NoError(t, ring.install(t.Context(), thirdKey))
			drifted := use.read(current, next)
			assert.True(t, use.diff(drifted.Properties, next, next).HasChanges)
			_, err = use.update(drifted.Properties, next, next)
			require.NoError(t, err)
			keys, _ = keysOf(t, ring)
			assert.Equal(t, []string{otherGossipKey}, keys)

			// A server that is away would come back with the old key: nothing is changed behind its back, neither while
			// the cluster waits for it nor when it has given it up.
			cluster[2].stop(t)
			refused := func(want string) {
				_, err := install.update(installed.Properties, old, with(with(old, "key", thirdKey), "timeout", "20s"))
				require.Error(t, err)
				t.Log(err)
				assert.Regexp(t, want, err.Error())
				assert.False(t, strings.Contains(err.Error(), thirdKey) || strings.Contains(err.Error(), secret))
			}
			refused("-3.*failed, and would come back|server-3 .*would come back")
			eventually(t, "the cluster gives it up", func() bool {
				if product.name == "consul" { // which waits for 72 hours by itself
					if err := consulAt(t, ca, cluster[0]).Agent().ForceLeave("server-3"); err != nil {
						return false
					}
				}
				alive, failed, err := ring.members(t.Context())
				return err == nil && len(failed) == 0 && !slices.ContainsFunc(alive, func(name string) bool { return strings.Contains(name, "-3") })
			})
			refused("server-3 .*would come back")
			eventually(t, "no member has the key", func() bool {
				found, err := survey(t.Context(), ring, otherGossipKey)
				return err == nil && found.sole()
			})
		})
	}
}
