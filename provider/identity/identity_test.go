package identity_test

import (
	"fmt"
	"strings"
	"testing"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/provider/internal/rig"
)

// servers is a pool of servers, which have their addresses one after the other.
func servers(count int) map[string]any {
	var addresses []any
	for i := range count {
		addresses = append(addresses, fmt.Sprintf("10.0.1.%d", 10+i))
	}
	return map[string]any{"subnet": "10.0.1.0/24", "roles": []any{"vault", "consul-server", "nomad-server"}, "servers": addresses}
}

func clients(subnet string) map[string]any { return map[string]any{"subnet": subnet} }

// stack is one with so many servers, and the clients of the pool "client".
func stack(count int) map[string]any {
	return map[string]any{
		"location": "fsn1", "region": "global", "network": "10.0.0.0/16",
		"pools": map[string]any{"server": servers(count), "client": clients("10.0.2.0/24")},
	}
}

const anotherStack = `Set it back. If it has to change, bring up a second stack and move there (RUNBOOK.md, "Moving to another stack")`

func TestWhatAStackIsDoesNotChange(t *testing.T) {
	for name, test := range map[string]struct {
		was, is map[string]any
		want    map[string]string // the beginning of what is said, by property
		way     string
	}{
		"location": {stack(3), rig.With(stack(3), "location", "nbg1"), map[string]string{"location": "must stay fsn1, got nbg1: "}, anotherStack},
		"region":   {stack(3), rig.With(stack(3), "region", "europe"), map[string]string{"region": "must stay global, got europe: "}, anotherStack},
		"a wider network": {
			stack(3), rig.With(stack(3), "network", "10.0.0.0/8"),
			map[string]string{"network": "must stay 10.0.0.0/16, got 10.0.0.0/8: "}, anotherStack,
		},
		"a network elsewhere, with its subnets": {
			stack(3), rig.With(rig.With(stack(3), "network", "10.1.0.0/16"), "pools.server", rig.With(servers(3), "subnet", "10.1.1.0/24")),
			map[string]string{
				"network": "must stay 10.0.0.0/16, got 10.1.0.0/16: ", "pools.server.subnet": "must stay 10.0.1.0/24, got 10.1.1.0/24: ",
			}, anotherStack,
		},
		"the servers' subnet": {
			stack(3), rig.With(stack(3), "pools.server.subnet", "10.0.1.0/25"),
			map[string]string{"pools.server.subnet": "must stay 10.0.1.0/24, got 10.0.1.0/25: "}, anotherStack,
		},
		"the servers' addresses": {
			stack(3), rig.With(stack(3), "pools.server.servers", []any{"10.0.1.20", "10.0.1.21", "10.0.1.22"}),
			map[string]string{"pools.server.servers": "must stay at 10.0.1.10, 10.0.1.11, 10.0.1.12, got 10.0.1.20, 10.0.1.21, 10.0.1.22: "}, anotherStack,
		},
		"servers of another name": {
			stack(3), rig.With(rig.With(stack(3), "pools.server", nil), "pools.core", servers(3)),
			map[string]string{"pools.server": "must stay, the pools are now client, core: its machines hold the data of vault, consul-server, nomad-server"}, anotherStack,
		},
		"a role that moves": {
			stack(3), rig.With(rig.With(stack(3), "pools.server.roles", []any{"consul-server", "nomad-server"}),
				"pools.vault", map[string]any{"subnet": "10.0.3.0/24", "roles": []any{"vault"}, "servers": []any{"10.0.3.10"}}),
			map[string]string{"pools.server.roles": "must keep vault, "}, anotherStack,
		},
		"all roles move": {
			stack(3), rig.With(rig.With(stack(3), "pools.server", clients("10.0.1.0/24")), "pools.core", rig.With(servers(3), "subnet", "10.0.3.0/24")),
			map[string]string{"pools.server.roles": "must keep vault, consul-server, nomad-server, "}, anotherStack,
		},
		"three servers to one": {stack(3), stack(1), map[string]string{"pools.server.servers": "must be 3 or 5, got 1, and there are 3: "}, anotherStack},
		"five servers to one":  {stack(5), stack(1), map[string]string{"pools.server.servers": "must be 3 or 5, got 1, and there are 5: "}, anotherStack},
		"one server to three":  {stack(1), stack(3), map[string]string{"pools.server.servers": "must stay 1, got 3: "}, anotherStack},
		"a client pool's subnet": {
			stack(3), rig.With(stack(3), "pools.client.subnet", "10.0.4.0/24"),
			map[string]string{"pools.client.subnet": "must stay 10.0.2.0/24, got 10.0.4.0/24: "}, "remove the pool and add one with another name",
		},
		"a client pool of another name": {
			stack(3), rig.With(rig.With(stack(3), "pools.client", nil), "pools.worker", clients("10.0.2.0/24")),
			map[string]string{"pools.worker.subnet": "10.0.2.0/24 belongs to pool client (10.0.2.0/24), "},
			"Give the new pool another subnet, and one update adds it and removes the old one; or remove pool client in one update, and add worker in the next",
		},
		"a new client pool in a part of an old one's subnet": {
			stack(3), rig.With(rig.With(stack(3), "pools.client", nil), "pools.worker", clients("10.0.2.128/25")),
			map[string]string{"pools.worker.subnet": "10.0.2.128/25 belongs to pool client (10.0.2.0/24), "}, "remove pool client in one update, and add worker in the next",
		},
		"several at once": {
			stack(3), rig.With(rig.With(stack(1), "location", "nbg1"), "region", "europe"),
			map[string]string{"location": "must stay fsn1", "region": "must stay global", "pools.server.servers": "must be 3 or 5"}, anotherStack,
		},
	} {
		t.Run(name, func(t *testing.T) {
			subject := rig.New(t.Context(), t, "StackIdentity", "stack")
			refused := subject.Refused(subject.Checked(test.was), test.is)
			assert.Len(t, refused, len(test.want), "%v", refused)
			for property, begins := range test.want {
				assert.True(t, strings.HasPrefix(refused[property], begins), "%s: %s", property, refused[property])
				assert.Contains(t, refused[property], test.way, property)
			}
			assert.Empty(t, subject.Refused(subject.Checked(test.is), test.is), "nothing is wrong with that in a stack of its own")
		})
	}
}

func TestWhatMayChange(t *testing.T) {
	for name, test := range map[string]struct{ was, is map[string]any }{
		"nothing":               {stack(3), stack(3)},
		"three servers to five": {stack(3), stack(5)},
		"five servers to three": {stack(5), stack(3)},
		"one more client pool":  {stack(3), rig.With(stack(3), "pools.batch", clients("10.0.3.0/24"))},
		"a client pool less":    {stack(3), rig.With(stack(3), "pools.client", nil)},
		"a client pool for another, with a subnet of its own": {
			stack(3), rig.With(rig.With(stack(3), "pools.client", nil), "pools.worker", clients("10.0.3.0/24")),
		},
		"the subnet of a client pool that is gone": {
			rig.With(stack(3), "pools.client", nil), rig.With(rig.With(stack(3), "pools.client", nil), "pools.worker", clients("10.0.2.0/24")),
		},
		"roles in another order": {stack(3), rig.With(stack(3), "pools.server.roles", []any{"nomad-server", "vault", "consul-server"})},
		"one server, with other clients": {
			stack(1), rig.With(stack(1), "pools.batch", clients("10.0.3.0/24")),
		},
	} {
		t.Run(name, func(t *testing.T) {
			subject := rig.New(t.Context(), t, "StackIdentity", "stack")
			was := subject.Checked(test.was)
			assert.Empty(t, subject.Refused(was, test.is))
			diff := subject.Diff(was, test.was, test.is)
			for path, change := range diff.DetailedDiff {
				assert.Equal(t, p.Update, change.Kind, path)
			}
			updated, err := subject.Update(was, test.was, test.is)
			require.NoError(t, err)
			assert.Equal(t, subject.Checked(test.is), updated.Properties, "the next change is compared with what the stack is now")
		})
	}
}

// A stack of before there was this resource becomes what it is now.
func TestTheFirstTime(t *testing.T) {
	subject := rig.New(t.Context(), t, "StackIdentity", "stack")
	assert.Empty(t, subject.Refused(property.Map{}, stack(1)))
	created := subject.MustCreate(stack(1))
	assert.Equal(t, subject.Checked(stack(1)), created.Properties)
	assert.Equal(t, created.Properties, subject.Read(created, stack(1)).Properties)
}

func TestANewStackHasAProjectOfItsOwn(t *testing.T) {
	subject := rig.New(t.Context(), t, "StackIdentity", "stack")
	crowded := rig.With(stack(3), "neighbour", "prod")
	refused := subject.Refused(property.Map{}, crowded)
	assert.Len(t, refused, 1)
	assert.Contains(t, refused["neighbour"], "the Hetzner project has a network of this name already, of stack prod: ")
	assert.Contains(t, refused["neighbour"], "Give this stack a project of its own")
	assert.Empty(t, subject.Refused(subject.Checked(stack(3)), crowded), "a stack that has been renamed finds its old name there")
}

func TestRangesAreRanges(t *testing.T) {
	for _, path := range []string{"network", "pools.client.subnet", "pools.server.subnet"} {
		refused := rig.New(t.Context(), t, "StackIdentity", "stack").Refused(property.Map{}, rig.With(stack(3), path, "10.0.0.0"))
		assert.Equal(t, map[string]string{path: `must be a range of addresses such as 10.0.0.0/16, got "10.0.0.0"`}, refused)
	}
}
