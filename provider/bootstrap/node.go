package bootstrap

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"

	"github.com/hashicorp/go-cleanhttp"
	"github.com/pulumi/pulumi-go-provider/infer"
)

// Node is one server of a product.
type Node struct {
	Name    string `pulumi:"name"`
	Address string `pulumi:"address"`
}

// Annotate describes the type in the schema.
func (n *Node) Annotate(a infer.Annotator) {
	a.Describe(&n, "One server of a product.")
	a.Describe(&n.Name, "Logical name of the machine in the Pulumi program; errors and remedies speak of it.")
	a.Describe(&n.Address, "URL of the product's API on this machine, for example `https://10.0.1.10:8200`. "+
		"Its certificate must be valid for the host in it.")
}

func (n Node) String() string { return fmt.Sprintf("%s (%s)", n.Name, n.Address) }

// replaceCommand is the command that replaces the nodes' machines and nothing else: not, for example, their addresses,
// which may carry the same logical name.
func replaceCommand(nodes []Node) string {
	var command strings.Builder
	command.WriteString("pulumi up")
	for _, node := range nodes {
		fmt.Fprintf(&command, " --replace '**:Server::%s'", node.Name)
	}
	return command.String()
}

// httpClient trusts the certificates in caPem and no others; the host name is checked as always.
func httpClient(caPem string) (*http.Client, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(caPem)) {
		return nil, fmt.Errorf("caPem: must hold at least one PEM certificate, found none in %d bytes", len(caPem))
	}
	transport := cleanhttp.DefaultPooledTransport()
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	return &http.Client{Transport: transport}, nil
}
