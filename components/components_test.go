package components

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/internals"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"hashistack/internal/pulumitest"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// Types and logical names are how Pulumi knows a resource again: whoever changes one replaces what exists, unless there
// is an alias. The golden file makes that visible.
func TestEveryResourceDescendsFromItsComponent(t *testing.T) {
	p := newPlatform(t)
	children := map[string][]pulumitest.Resource{}
	for _, declared := range p.Resources() {
		if strings.HasSuffix(declared.Parent, "::pulumi:pulumi:Stack::"+pulumitest.Project+"-"+pulumitest.Stack) {
			assert.True(t, strings.HasPrefix(declared.Type, typePrefix), "%s stands outside of all components", declared.URN)
		}
		children[declared.Parent] = append(children[declared.Parent], declared)
	}
	tokens := tokenPolicies(t)
	var tree []string
	for _, component := range p.Resources() {
		if !strings.HasPrefix(component.Type, typePrefix) {
			assert.Empty(t, children[component.URN], "%s is no component", component.URN)
			continue
		}
		tree = append(tree, component.Type+" "+component.Name)
		var lines []string
		for _, child := range children[component.URN] {
			name := child.Name
			if _, machines := tokens[strings.TrimPrefix(name, "consul-")]; machines && slices.Contains([]string{consulPolicy, consulRole}, child.Type) {
				name = "of each token of machines" // the parts of machines say which they are
			}
			lines = append(lines, "  "+child.Type+" "+name)
		}
		slices.Sort(lines)
		tree = append(tree, slices.Compact(lines)...)
		delete(children, component.URN)
	}
	assertGolden(t, "resources.txt", sortedTree(tree))
}

// sortedTree sorts the children of each component: resources are declared in parallel.
func sortedTree(lines []string) string {
	var blocks []string
	for _, line := range lines {
		if strings.HasPrefix(line, " ") {
			blocks[len(blocks)-1] += "\n" + line
		} else {
			blocks = append(blocks, line)
		}
	}
	for i, block := range blocks {
		lines := strings.Split(block, "\n")
		slices.Sort(lines[1:])
		blocks[i] = strings.Join(lines, "\n")
	}
	slices.Sort(blocks)
	return strings.Join(blocks, "\n") + "\n"
}

func assertGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o750))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), got, "if this is meant, run the test with -update")
}

func TestNoSecretTravelsInTheClear(t *testing.T) {
	for name, p := range platforms(t) {
		t.Run(name, func(t *testing.T) {
			for _, declared := range p.Resources() {
				for path, text := range declared.Plain() {
					for _, secret := range secrets() {
						assert.NotContains(t, text, secret, "%s of %s %s", path, declared.Type, declared.Name)
					}
				}
			}
			// What others may use, or export, has to be a secret by itself.
			visible := map[string]pulumi.Output{
				"Vault's root token": p.vault.RootToken, "Consul's token": p.consul.Token, "Nomad's token": p.nomad.Token,
			}
			for _, pool := range p.pools {
				for _, m := range pool.Machines {
					visible["login of "+m.Name] = m.SecretID
				}
			}
			for name, output := range visible {
				assert.True(t, pulumi.IsSecret(output), name)
			}
			assert.False(t, pulumi.IsSecret(p.trust.Bundle), "root certificates are for everybody")
		})
	}
}

// insidePrefixes are the types of what lives inside the machines: in a product, or in what reaches one.
var insidePrefixes = []string{"vault:", "consul:", "nomad:", "hashistack:index:", "pulumi:providers:"}

func TestWhatLivesInsideTheMachinesGoesWithThem(t *testing.T) {
	for name, p := range platforms(t) {
		t.Run(name, func(t *testing.T) {
			network := p.One(t, "hcloud:index/network:Network", "test").URN
			for _, declared := range p.Resources() {
				inside := slices.ContainsFunc(insidePrefixes, func(prefix string) bool { return strings.HasPrefix(declared.Type, prefix) })
				if inside {
					assert.Equal(t, network, declared.Options.RegisterRPC.GetDeletedWith(), declared.URN)
				} else {
					assert.Empty(t, declared.Options.RegisterRPC.GetDeletedWith(), "%s would stay behind at Hetzner", declared.URN)
				}
			}
		})
	}
}

// A default provider would read the environment of whoever runs the program, and change another cluster.
func TestEveryProductHasItsOwnProvider(t *testing.T) {
	for name, p := range platforms(t) {
		t.Run(name, func(t *testing.T) {
			checked := 0
			for _, declared := range p.Resources() {
				product, _, _ := strings.Cut(declared.Type, ":")
				if !slices.Contains([]string{"vault", "consul", "nomad"}, product) {
					continue
				}
				provider := p.One(t, "pulumi:providers:"+product, product)
				assert.Equal(t, provider.URN+"::"+provider.ID, declared.Options.Provider, declared.URN)
				checked++
			}
			assert.Greater(t, checked, 50)
		})
	}
}

// Hetzner knows things by their names, which are unique in a project: the new one cannot be there beside the old one.
func TestFixedNamesAreDeletedBeforeTheyAreReplaced(t *testing.T) {
	p := newPlatform(t)
	for _, declared := range p.Resources() {
		if strings.HasPrefix(declared.Type, "hcloud:") {
			assert.True(t, declared.Options.RegisterRPC.GetDeleteBeforeReplace(), declared.URN)
		}
	}
}

// The first preview shows the same resources as the update, with all that can be known: what is not known comes from
// the resource it is named after.
func TestFirstPreview(t *testing.T) {
	p := newPlatform(t)
	preview := emptyPlatform(t)
	preview.Preview(t, preview.declare)
	assert.NoFileExists(t, preview.rootPEM, "there is no certificate yet")

	var unknown []string
	real := p.byURN()
	assert.Len(t, preview.Resources(), len(real))
	for _, declared := range preview.Resources() {
		assert.Contains(t, real, declared.URN)
		for _, path := range declared.Unknown() {
			unknown = append(unknown, declared.Type+" "+path)
		}
	}
	slices.Sort(unknown)
	assertGolden(t, "unknown_in_first_preview.txt", strings.Join(slices.Compact(unknown), "\n")+"\n")
}

func TestNumericIDs(t *testing.T) {
	good, err := internals.UnsafeAwaitOutput(t.Context(), numeric(pulumi.ID("42").ToIDOutput()))
	require.NoError(t, err)
	assert.Equal(t, 42, good.Value)
	_, err = internals.UnsafeAwaitOutput(t.Context(), numeric(pulumi.ID("forty-two").ToIDOutput()))
	require.ErrorContains(t, err, `ID "forty-two" of a Hetzner Cloud resource is not a number`)
}

// A user who waits waits for no single thing longer than the configuration says.
func TestNothingInsideTheMachinesIsWaitedForLonger(t *testing.T) {
	p := newPlatform(t)
	for _, declared := range p.Resources() {
		if strings.HasPrefix(declared.Type, "hashistack:index:") && declared.Type != "hashistack:index:StackIdentity" {
			assert.Equal(t, "5m0s", declared.Input("timeout"), "%s %s", declared.Type, declared.Name)
		}
	}
}
