package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

// patience bounds a connection to an agent, with what is asked there.
const patience = 10 * time.Second

// handshake is what a client of an agent's RPC port does first.
func handshake(address, first, authority, name string, bundle []string) error {
	kind, err := strconv.ParseUint(first, 0, 8)
	if err != nil {
		return fmt.Errorf("first byte %q: %w", first, err)
	}
	connection, err := connect(address, byte(kind), authority, name, bundle)
	if err != nil {
		return err
	}
	return connection.Close()
}

// connect shakes hands with an agent's RPC port: a byte says that TLS follows.
func connect(address string, kind byte, authority, name string, bundle []string) (*tls.Conn, error) {
	pem, err := os.ReadFile(authority) //nolint:gosec // G703: which file is the caller's to say
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate", authority)
	}
	// With TLS 1.3 a client would learn only later that the server wants another certificate.
	config := &tls.Config{ //nolint:gosec // G402: see above
		RootCAs: roots, ServerName: name,
		MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12,
	}
	if len(bundle) > 0 {
		certificate, err := tls.LoadX509KeyPair(bundle[0], bundle[0])
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	plain, err := net.DialTimeout("tcp", address, patience) //nolint:gosec // G704: where to is the caller's to say
	if err != nil {
		return nil, err
	}
	connection := tls.Client(plain, config)
	err = plain.SetDeadline(time.Now().Add(patience))
	if err == nil {
		_, err = plain.Write([]byte{kind})
	}
	if err == nil {
		err = connection.Handshake()
	}
	if err != nil {
		return nil, errors.Join(err, plain.Close())
	}
	return connection, nil
}
