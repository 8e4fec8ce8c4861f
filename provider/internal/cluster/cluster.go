// Package cluster has the inputs that say what a cluster is and how it is reached. All resources share them.
package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"

	"github.com/hashicorp/go-cleanhttp"
	"github.com/pulumi/pulumi-go-provider/infer"
)

// Cluster is a cluster of one product, and how its API is reached.
type Cluster struct {
	Nodes []Node  `pulumi:"nodes"`
	CaPem string  `pulumi:"caPem"`
	Token *string `pulumi:"token,optional" provider:"secret"` // absent, not empty, where none is needed
}

// Annotate describes the type in the schema.
func (c *Cluster) Annotate(a infer.Annotator) {
	a.Describe(&c, "A cluster of one product, and how its API is reached.")
	a.Describe(&c.Nodes, "All servers of the cluster. Where any of them will do, each is asked in turn until one answers.")
	a.Describe(&c.CaPem, "PEM certificates of the authorities that sign the servers' certificates. No others are trusted.")
	a.Describe(&c.Token, "The token of the requests. Left out where there is none yet.")
}

// Secret is the token of the requests, empty if there is none.
func (c Cluster) Secret() string {
	if c.Token == nil {
		return ""
	}
	return *c.Token
}

// Node is the cluster's server on a machine. ok is false if the machine has none.
func (c Cluster) Node(machine string) (node Node, ok bool) {
	i := slices.IndexFunc(c.Nodes, func(node Node) bool { return node.Name == machine })
	if i < 0 {
		return Node{}, false
	}
	return c.Nodes[i], true
}

// Node is one server of a product.
type Node struct {
	Name    string `pulumi:"name"`
	Address string `pulumi:"address"`
}

// Annotate describes the type in the schema.
func (n *Node) Annotate(a infer.Annotator) {
	a.Describe(&n, "One server of a product.")
	a.Describe(&n.Name, "Logical name of the machine in the Pulumi program. Errors and remedies name the machine by it.")
	a.Describe(&n.Address, "URL of the product's API on this machine, for example `https://10.0.1.10:8200`. "+
		"Its certificate must be valid for the host in it.")
}

func (n Node) String() string { return fmt.Sprintf("%s (%s)", n.Name, n.Address) }

// HTTPClient trusts the certificates in caPem and no others. It checks the host name, as always.
func HTTPClient(caPem string) (*http.Client, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(caPem)) {
		return nil, fmt.Errorf("caPem: must hold at least one PEM certificate, found none in %d bytes", len(caPem))
	}
	transport := cleanhttp.DefaultPooledTransport()
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	return &http.Client{Transport: transport}, nil
}
