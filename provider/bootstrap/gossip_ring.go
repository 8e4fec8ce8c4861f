package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	consul "github.com/hashicorp/consul/api"
	nomad "github.com/hashicorp/nomad/api"
)

// ringTimeout bounds one request about gossip keys: the server asks all members of every pool, and waits a few seconds
// for those that do not answer.
const ringTimeout = 30 * time.Second

// pool is what the members of one gossip pool say about their keys.
type pool struct {
	name    string
	members int            // that take part
	keys    map[string]int // and how many of them have each key
}

// ring is one server, which asks and tells all members of its cluster. An error of install, use and remove means that
// not every member has agreed. A key can be used only where it is installed, and is not removed where it is in use.
type ring interface {
	fmt.Stringer
	list(ctx context.Context) ([]pool, error)
	install(ctx context.Context, key string) error
	use(ctx context.Context, key string) error
	remove(ctx context.Context, key string) error
	// self is the server's own name among the members.
	self(ctx context.Context) (string, error)
	// members tells alive ones from those that have gone without a good-bye, and may come back with the keys they had.
	// Those that have left, or that the cluster has given up, are neither.
	members(ctx context.Context) (alive, failed []string, err error)
}

// cluster is one server that answers for all.
type cluster struct {
	ring
	servers []ring // that must all be members
	key     string
}

// rings connect to a server of each product.
var rings = map[string]func(Node, GossipArgs) (ring, error){"consul": newConsulRing, "nomad": newNomadRing}

func (args GossipArgs) connect() ([]ring, error) {
	servers := make([]ring, 0, len(args.Nodes))
	for _, node := range args.Nodes {
		server, err := rings[args.Product](node, args)
		if err != nil {
			return nil, fmt.Errorf("make a %s client for %s: %w", args.Product, node, err)
		}
		servers = append(servers, server)
	}
	return servers, nil
}

// act is one step of a rotation. It may be repeated at any time, and does nothing where nothing is left to do.
type act struct {
	want string
	do   func(cluster, context.Context) error
}

var (
	installed = act{"every member of %s to know the gossip key", cluster.installKey}
	sole      = act{"every member of %s to know no other gossip key", cluster.useOnly}
)

// within does the acts one after the other, each until all members have followed.
func (args GossipArgs) within(ctx context.Context, acts ...act) error {
	ctx, cancel, err := within(ctx, args.Timeout)
	if err != nil {
		return err
	}
	defer cancel()
	servers, err := args.connect()
	if err != nil {
		return err
	}
	for _, act := range acts {
		if err := until(ctx, fmt.Sprintf(act.want, args.Product), anyOf(servers, func(ctx context.Context, ring ring) error {
			return act.do(cluster{ring, servers, args.Key}, ctx)
		})); err != nil {
			return err
		}
	}
	return nil
}

// findings are what the members of all pools have, as far as it concerns one key.
type findings struct {
	missing []string // pools in which some member lacks the key, with figures
	others  []string // keys besides it
}

// survey asks all members of a cluster for their keys.
func survey(ctx context.Context, ring ring, key string) (findings, error) {
	pools, err := ring.list(ctx)
	if err != nil {
		return findings{}, err
	}
	var found findings
	for _, pool := range pools {
		if pool.keys[key] < pool.members {
			found.missing = append(found.missing, fmt.Sprintf("%d of %d members of %s know it", pool.keys[key], pool.members, pool.name))
		}
		for other := range pool.keys {
			if other != key && !slices.Contains(found.others, other) {
				found.others = append(found.others, other)
			}
		}
	}
	return found, nil
}

// sole tells whether all members have the key and no other, and so use it.
func (f findings) sole() bool { return len(f.missing) == 0 && len(f.others) == 0 }

// installKey makes every member know the key.
func (c cluster) installKey(ctx context.Context) error {
	found, err := survey(ctx, c, c.key)
	if err == nil && len(found.missing) == 0 {
		return nil
	}
	if err := c.complete(ctx, err); err != nil {
		return err
	}
	if err := c.install(ctx, c.key); err != nil {
		return fmt.Errorf("install: %w", err)
	}
	if found, err = survey(ctx, c, c.key); err == nil && len(found.missing) > 0 {
		err = errors.New(strings.Join(found.missing, ", "))
	}
	return err
}

// useOnly makes every member use the key, and then forget the others. Members that have joined since the key was
// installed get it first: they could not hear those that use it.
func (c cluster) useOnly(ctx context.Context) error {
	found, err := survey(ctx, c, c.key)
	if err == nil && found.sole() {
		return nil
	}
	if err := c.complete(ctx, err); err != nil {
		return err
	}
	if len(found.missing) > 0 {
		if err := c.installKey(ctx); err != nil {
			return err
		}
	}
	if err := c.use(ctx, c.key); err != nil {
		return fmt.Errorf("use: %w", err)
	}
	for _, other := range found.others {
		if err := c.remove(ctx, other); err != nil {
			return fmt.Errorf("remove: %w", err)
		}
	}
	found, err = survey(ctx, c, c.key)
	if err == nil && !found.sole() {
		err = fmt.Errorf("%d other keys are there%s", len(found.others), strings.Join(append([]string{""}, found.missing...), ", "))
	}
	return err
}

// complete returns an error if a member is away: it would come back with none but an old key. A cluster forgets members
// by and by (Nomad's a server within seconds of its failure, once others make up a quorum), so every server is asked who
// it is, too. Those that failed are what explains a survey that did.
func (c cluster) complete(ctx context.Context, surveyed error) error {
	alive, failed, err := c.members(ctx)
	if err != nil {
		return errors.Join(surveyed, err)
	}
	if len(failed) > 0 {
		return fmt.Errorf("%s failed, and would come back without the key: bring it back, or make the others forget it (force-leave)",
			strings.Join(failed, ", "))
	}
	var away []string
	for _, server := range c.servers {
		if name, err := server.self(ctx); err != nil {
			away = append(away, fmt.Sprintf("%s: %s", server, describe(err)))
		} else if !slices.Contains(alive, name) {
			away = append(away, fmt.Sprintf("%s: %s is not a member", server, name))
		}
	}
	if len(away) > 0 {
		return fmt.Errorf("%s; who is away would come back without the key: bring it back, or replace it", strings.Join(away, "; "))
	}
	return surveyed
}

type consulRing struct {
	Node
	client *consul.Client
}

func newConsulRing(node Node, args GossipArgs) (ring, error) {
	client, err := newConsulClient(node, args.CaPem, args.Token, ringTimeout)
	return consulRing{node, client}, err
}

func (r consulRing) list(ctx context.Context) ([]pool, error) {
	answers, err := r.client.Operator().KeyringList(anonymously(ctx)) // with the client's own token
	if err != nil {
		return nil, err
	}
	pools := make([]pool, 0, len(answers))
	for _, answer := range answers {
		name := "the LAN pool of " + answer.Datacenter
		if answer.WAN {
			name = "the WAN pool"
		}
		pools = append(pools, pool{name, answer.NumNodes, answer.Keys})
	}
	return pools, nil
}

func (r consulRing) install(ctx context.Context, key string) error {
	return r.client.Operator().KeyringInstall(key, new(consul.WriteOptions).WithContext(ctx))
}

func (r consulRing) use(ctx context.Context, key string) error {
	return r.client.Operator().KeyringUse(key, new(consul.WriteOptions).WithContext(ctx))
}

func (r consulRing) remove(ctx context.Context, key string) error {
	return r.client.Operator().KeyringRemove(key, new(consul.WriteOptions).WithContext(ctx))
}

// What Consul's API calls the status of a member: serf.MemberStatus, as a number.
const (
	serfAlive  = 1
	serfFailed = 4
)

func (r consulRing) self(context.Context) (string, error) { return r.client.Agent().NodeName() }

func (r consulRing) members(context.Context) (alive, failed []string, err error) {
	for _, wan := range []bool{false, true} {
		// The API takes no context here; the client's timeout bounds the request.
		members, err := r.client.Agent().Members(wan)
		if err != nil {
			return nil, nil, err
		}
		for _, member := range members {
			switch member.Status {
			case serfAlive:
				alive = append(alive, member.Name)
			case serfFailed:
				failed = append(failed, member.Name)
			}
		}
	}
	return alive, failed, nil
}

type nomadRing struct {
	Node
	client *nomad.Client
}

func newNomadRing(node Node, args GossipArgs) (ring, error) {
	client, err := newNomadClient(node, args.CaPem, args.Token, ringTimeout)
	return nomadRing{node, client}, err
}

func (r nomadRing) list(ctx context.Context) ([]pool, error) {
	var answer nomad.KeyringResponse
	if _, err := r.client.Raw().Query("/v1/agent/keyring/list", &answer, new(nomad.QueryOptions).WithContext(ctx)); err != nil {
		return nil, err
	}
	return []pool{{"the servers", answer.NumNodes, answer.Keys}}, nil
}

func (r nomadRing) install(ctx context.Context, key string) error { return r.tell(ctx, "install", key) }
func (r nomadRing) use(ctx context.Context, key string) error     { return r.tell(ctx, "use", key) }
func (r nomadRing) remove(ctx context.Context, key string) error  { return r.tell(ctx, "remove", key) }

func (r nomadRing) tell(ctx context.Context, act, key string) error {
	_, err := r.client.Raw().Write("/v1/agent/keyring/"+act, nomad.KeyringRequest{Key: key}, nil, new(nomad.WriteOptions).WithContext(ctx))
	return err
}

func (r nomadRing) self(context.Context) (string, error) {
	agent, err := r.client.Agent().Self()
	if err != nil {
		return "", err
	}
	return agent.Member.Name, nil
}

func (r nomadRing) members(ctx context.Context) (alive, failed []string, err error) {
	answer, err := r.client.Agent().MembersOpts(new(nomad.QueryOptions).WithContext(ctx))
	if err != nil {
		return nil, nil, err
	}
	for _, member := range answer.Members {
		switch member.Status {
		case "alive":
			alive = append(alive, member.Name)
		case "failed":
			failed = append(failed, member.Name)
		}
	}
	return alive, failed, nil
}
