package gossip

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"hashistack/provider/internal/cluster"
	"hashistack/provider/internal/explain"
	"hashistack/provider/internal/wait"
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
	// members are those that are alive, and those that failed: they may come back, with the keys they had. Members that
	// have left, or that the cluster has given up, are in neither list.
	members(ctx context.Context) (alive, failed []string, err error)
}

// rings connect to a server of each product.
var rings = map[string]func(node cluster.Node, caPem, token string) (ring, error){"consul": newConsulRing, "nomad": newNomadRing}

func (args Args) connect() ([]ring, error) {
	servers := make([]ring, 0, len(args.Cluster.Nodes))
	for _, node := range args.Cluster.Nodes {
		server, err := rings[args.Product](node, args.Cluster.CaPem, args.Cluster.Secret())
		if err != nil {
			return nil, fmt.Errorf("make a %s client for %s: %w", args.Product, node, err)
		}
		servers = append(servers, server)
	}
	return servers, nil
}

// rotation is a key on its way into a cluster, through one server that answers for all.
type rotation struct {
	ring
	servers []ring // that must all be members
	key     string
}

// step is one step of a rotation. It may be repeated at any time, and does nothing where nothing is left to do.
type step struct {
	want string
	do   func(rotation, context.Context) error
}

var (
	installed = step{"every member of %s to know the gossip key", rotation.installKey}
	sole      = step{"every member of %s to know no other gossip key", rotation.useOnly}
)

// within does the steps one after the other, each until all members have followed.
func (args Args) within(ctx context.Context, steps ...step) error {
	ctx, cancel, err := wait.Within(ctx, args.Timeout)
	if err != nil {
		return err
	}
	defer cancel()
	servers, err := args.connect()
	if err != nil {
		return err
	}
	for _, step := range steps {
		if err := wait.Until(ctx, fmt.Sprintf(step.want, args.Product), wait.AnyOf(servers, func(ctx context.Context, server ring) error {
			return step.do(rotation{server, servers, args.Key}, ctx)
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
func (r rotation) installKey(ctx context.Context) error {
	found, err := survey(ctx, r, r.key)
	if err == nil && len(found.missing) == 0 {
		return nil
	}
	if err := r.complete(ctx, err); err != nil {
		return err
	}
	if err := r.install(ctx, r.key); err != nil {
		return fmt.Errorf("install: %w", err)
	}
	if found, err = survey(ctx, r, r.key); err == nil && len(found.missing) > 0 {
		err = errors.New(strings.Join(found.missing, ", "))
	}
	return err
}

// useOnly makes every member use the key, and then forget the others. Members that have joined since the key was
// installed get it first: they could not hear those that use it.
func (r rotation) useOnly(ctx context.Context) error {
	found, err := survey(ctx, r, r.key)
	if err == nil && found.sole() {
		return nil
	}
	if err := r.complete(ctx, err); err != nil {
		return err
	}
	if len(found.missing) > 0 {
		if err := r.installKey(ctx); err != nil {
			return err
		}
	}
	if err := r.use(ctx, r.key); err != nil {
		return fmt.Errorf("use: %w", err)
	}
	for _, other := range found.others {
		if err := r.remove(ctx, other); err != nil {
			return fmt.Errorf("remove: %w", err)
		}
	}
	found, err = survey(ctx, r, r.key)
	if err == nil && !found.sole() {
		err = fmt.Errorf("%d other keys are there%s", len(found.others), strings.Join(append([]string{""}, found.missing...), ", "))
	}
	return err
}

// complete returns an error if a member is away: it would come back with none but an old key. The list of members is not
// enough to tell, because a cluster forgets them: Nomad drops a failed server within seconds, once others make up a
// quorum. So every server is asked who it is, too. Members that failed come first: they explain why a survey failed.
func (r rotation) complete(ctx context.Context, surveyed error) error {
	alive, failed, err := r.members(ctx)
	if err != nil {
		return errors.Join(surveyed, err)
	}
	if len(failed) > 0 {
		return fmt.Errorf("%s failed, and would come back without the key: bring it back, or make the others forget it (force-leave)",
			strings.Join(failed, ", "))
	}
	var away []string
	for _, server := range r.servers {
		if name, err := server.self(ctx); err != nil {
			away = append(away, fmt.Sprintf("%s: %s", server, explain.Error(err)))
		} else if !slices.Contains(alive, name) {
			away = append(away, fmt.Sprintf("%s: %s is not a member", server, name))
		}
	}
	if len(away) > 0 {
		return fmt.Errorf("%s; who is away would come back without the key: bring it back, or replace it", strings.Join(away, "; "))
	}
	return surveyed
}
