// Package check finds what is wrong with a resource's inputs, all of it at once.
package check

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/google/uuid"
	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"hashistack/provider/internal/cluster"
	"hashistack/provider/internal/wait"
)

// Problems gathers what is wrong with a resource's inputs. In a preview some inputs are not known yet: the update checks
// those.
type Problems struct {
	inputs property.Map
	found  []p.CheckFailure
}

// Inputs decodes a resource's inputs, sets their defaults, and has look find what is wrong with them. look may change
// the inputs.
func Inputs[Args any](ctx context.Context, req infer.CheckRequest, look func(*Args, *Problems)) (infer.CheckResponse[Args], error) {
	args, failures, err := infer.DefaultCheck[Args](ctx, req.NewInputs)
	if err != nil || len(failures) > 0 {
		return infer.CheckResponse[Args]{Inputs: args, Failures: failures}, err
	}
	problems := Problems{inputs: req.NewInputs}
	look(&args, &problems)
	return infer.CheckResponse[Args]{Inputs: args, Failures: problems.found}, nil
}

// Add notes a problem of a property.
func (c *Problems) Add(property, format string, args ...any) {
	c.found = append(c.found, p.CheckFailure{Property: property, Reason: fmt.Sprintf(format, args...)})
}

// Known says whether a property is given, and nothing in it is unknown. A path like "cluster.nodes" leads into objects.
func (c *Problems) Known(path string) bool {
	value, given := c.lookUp(path)
	return given && !value.HasComputed()
}

// Given says whether a property is given, known or not.
func (c *Problems) Given(path string) bool {
	_, given := c.lookUp(path)
	return given
}

// lookUp returns the value of a property. Everything inside of an unknown value is unknown, too.
func (c *Problems) lookUp(path string) (value property.Value, given bool) {
	value = property.New(c.inputs)
	for name := range strings.SplitSeq(path, ".") {
		switch {
		case value.IsComputed():
			return value, true
		case !value.IsMap():
			return property.Value{}, false
		}
		if value, given = value.AsMap().GetOk(name); !given {
			return value, false
		}
	}
	return value, true
}

// Listed returns list, but never nil. A list that a preview does not know arrives as nil, and a nil list would be left out
// of the checked inputs instead of staying unknown.
func Listed[T any](list []T) []T { return append([]T{}, list...) }

// Token says whether the requests to a cluster need a token.
type Token int

// A cluster has no token before it is bootstrapped, and one that is given all the same would be in the state for nothing.
const (
	WithoutToken Token = iota
	WithToken
)

// Cluster checks a cluster and how it is reached.
func (c *Problems) Cluster(path string, cluster *cluster.Cluster, token Token) {
	cluster.Nodes = Listed(cluster.Nodes)
	c.nodes(path+".nodes", cluster.Nodes)
	c.Authorities(path+".caPem", cluster.CaPem)
	switch tokenPath := path + ".token"; {
	case token == WithoutToken && cluster.Token != nil:
		c.Add(tokenPath, "must be left out: there is no token yet")
	case token == WithToken && cluster.Secret() == "" && (c.Known(tokenPath) || !c.Given(tokenPath)):
		c.Add(tokenPath, "must not be empty")
	}
}

func (c *Problems) nodes(path string, nodes []cluster.Node) {
	if !c.Known(path) {
		return
	}
	if len(nodes) == 0 {
		c.Add(path, "must name at least one node")
	}
	seen := map[string]bool{}
	for i, node := range nodes {
		c.node(fmt.Sprintf("%s[%d]", path, i), node)
		if seen[node.Name] {
			c.Add(fmt.Sprintf("%s[%d].name", path, i), "must be unique, %q is there twice", node.Name)
		}
		seen[node.Name] = true
	}
}

// Node checks one server.
func (c *Problems) Node(path string, node cluster.Node) {
	if c.Known(path) {
		c.node(path, node)
	}
}

func (c *Problems) node(path string, node cluster.Node) {
	if node.Name == "" {
		c.Add(path+".name", "must be the machine's logical name, got an empty string")
	}
	address, err := url.Parse(node.Address)
	if err != nil || address.Scheme != "https" || address.Hostname() == "" || address.Port() == "" || strings.Trim(address.Path, "/") != "" {
		c.Add(path+".address", "must be like https://10.0.1.10:8200, got %q", node.Address)
	}
}

// Authorities checks certificates in PEM.
func (c *Problems) Authorities(path, caPem string) {
	if !c.Known(path) {
		return
	}
	if _, err := cluster.HTTPClient(caPem); err != nil {
		c.Add(path, "%s", strings.TrimPrefix(err.Error(), "caPem: "))
	}
}

// UUID checks the secret of a token, which is not shown: it is a secret even when it is wrong.
func (c *Problems) UUID(path, secret string) {
	if c.Known(path) && (len(secret) != 36 || uuid.Validate(secret) != nil) {
		c.Add(path, "must be a UUID like 8f2d7b64-…, got %d characters of another form", len(secret))
	}
}

// Timeout checks the input `timeout`.
func (c *Problems) Timeout(timeout string) {
	if _, err := wait.ParseTimeout(timeout); err != nil && c.Known("timeout") {
		c.Add("timeout", "%s", err)
	}
}
