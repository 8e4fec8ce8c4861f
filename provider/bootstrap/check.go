package bootstrap

import (
	"fmt"
	"net/url"
	"strings"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
)

// problems gathers what is wrong with a resource's inputs, so that all of it is reported at once. Properties that
// are not known yet, in a preview, are left to the update.
type problems struct {
	inputs property.Map
	found  []p.CheckFailure
}

func (c *problems) add(property, format string, args ...any) {
	c.found = append(c.found, p.CheckFailure{Property: property, Reason: fmt.Sprintf(format, args...)})
}

// known says whether the value of a property is given and has no part that a preview cannot know.
func (c *problems) known(property string) bool {
	value, given := c.inputs.GetOk(property)
	return given && !value.HasComputed()
}

// listed returns list, but never nil. A list that a preview does not know arrives as nil, and a nil list would be
// left out of the checked inputs instead of staying unknown.
func listed[T any](list []T) []T { return append([]T{}, list...) }

func (c *problems) checkNodes(property string, nodes []Node) {
	if !c.known(property) {
		return
	}
	if len(nodes) == 0 {
		c.add(property, "must name at least one node")
	}
	seen := map[string]bool{}
	for i, node := range nodes {
		c.checkNode(fmt.Sprintf("%s[%d]", property, i), node)
		if seen[node.Name] {
			c.add(fmt.Sprintf("%s[%d].name", property, i), "must be unique, %q is there twice", node.Name)
		}
		seen[node.Name] = true
	}
}

func (c *problems) checkNode(path string, node Node) {
	if node.Name == "" {
		c.add(path+".name", "must be the machine's logical name, got an empty string")
	}
	address, err := url.Parse(node.Address)
	if err != nil || address.Scheme != "https" || address.Hostname() == "" || address.Port() == "" || strings.Trim(address.Path, "/") != "" {
		c.add(path+".address", "must be like https://10.0.1.10:8200, got %q", node.Address)
	}
}

func (c *problems) checkAccess(caPem, timeout string) {
	if c.known("caPem") {
		if _, err := httpClient(caPem); err != nil {
			c.add("caPem", "%s", strings.TrimPrefix(err.Error(), "caPem: "))
		}
	}
	if _, err := parseTimeout(timeout); err != nil && c.known("timeout") {
		c.add("timeout", "%s", err)
	}
}
