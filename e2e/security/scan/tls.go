package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

// handshake is what a client of an agent's RPC port does first.
func handshake(address, first, authority, name string, bundle []string) error {
	kind, err := strconv.ParseUint(first, 0, 8)
	if err != nil {
		return fmt.Errorf("first byte %q: %w", first, err)
	}
	pem, err := os.ReadFile(authority) //nolint:gosec // G703: which file is the caller's to say
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s has no certificate", authority)
	}
	// With TLS 1.3 a client would learn only later that the server wants another certificate.
	config := &tls.Config{ //nolint:gosec // G402: see above
		RootCAs: roots, ServerName: name,
		MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12,
	}
	if len(bundle) > 0 {
		certificate, err := tls.LoadX509KeyPair(bundle[0], bundle[0])
		if err != nil {
			return err
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	connection, err := net.DialTimeout("tcp", address, 10*time.Second) //nolint:gosec // G704: where to is the caller's to say
	if err != nil {
		return err
	}
	defer connection.Close() //nolint:errcheck // there is nothing in it that could get lost
	if err := connection.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := connection.Write([]byte{byte(kind)}); err != nil {
		return err
	}
	return tls.Client(connection, config).Handshake()
}
