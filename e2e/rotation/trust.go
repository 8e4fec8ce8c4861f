package rotation

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"strings"
)

// ports are those of the three APIs.
var ports = []string{"8200", "8501", "4646"}

// issuers connects to every listener of every server, once for each root in the stack's CA file, trusting only that
// root. It returns, by address, which authority issued the listener's certificate.
func (p *proof) issuers(ctx context.Context) (map[string]string, error) {
	roots, err := p.roots()
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, server := range p.servers {
		for _, port := range ports {
			address := net.JoinHostPort(p.outputs.Machines[server], port)
			for i, root := range roots {
				issuer, err := asked(ctx, fmt.Sprintf("%s, trusting only root %d of %d", address, i+1, len(roots)),
					func(ctx context.Context) (string, error) { return issuer(ctx, address, root) })
				if err != nil {
					return nil, err
				}
				found[address] = issuer
			}
		}
	}
	return found, nil
}

// anyListener is the address of one of the listeners.
func (p *proof) anyListener() string {
	return net.JoinHostPort(p.outputs.Machines[p.servers[0]], ports[0])
}

// issuer verifies a listener, and returns the issuer of its certificate: the issuer's key and the names up the chain.
func issuer(ctx context.Context, address string, root *x509.Certificate) (string, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(root)
	dialer := &tls.Dialer{Config: &tls.Config{RootCAs: trusted, ServerName: host, MinVersion: tls.VersionTLS12}}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	connection, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer connection.Close() //nolint:errcheck // only looked at
	chain := connection.(*tls.Conn).ConnectionState().PeerCertificates
	by := []string{hex.EncodeToString(chain[0].AuthorityKeyId)}
	for _, authority := range chain[1:] {
		by = append(by, authority.Subject.CommonName)
	}
	return strings.Join(by, " < "), nil
}

func (p *proof) roots() ([]*x509.Certificate, error) {
	rest, err := os.ReadFile(p.outputs.CAFile)
	if err != nil {
		return nil, err
	}
	var roots []*x509.Certificate
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		root, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", p.outputs.CAFile, err)
		}
		roots = append(roots, root)
	}
	if len(bytes.TrimSpace(rest)) > 0 || len(roots) == 0 {
		return nil, fmt.Errorf("%s: want certificates, got %d and %d bytes more", p.outputs.CAFile, len(roots), len(rest))
	}
	return roots, nil
}
