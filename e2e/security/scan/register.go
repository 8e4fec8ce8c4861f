package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/hashicorp/go-msgpack/v2/codec"
	msgpackrpc "github.com/hashicorp/net-rpc-msgpackrpc/v2"
)

// What a client of Nomad's servers sends first: that TLS follows, and in the TLS connection that requests of Nomad's own follow
// (https://github.com/hashicorp/nomad/blob/v1.11.3/helper/pool/conn.go).
const (
	rpcTLS   = 0x04
	rpcNomad = 0x01
)

// register asks a Nomad server to take a new node, as a client does at its first start, with an introduction or with none. It prints
// the node's ID.
func register(address, ca, name, bundle, node, pool string, introduction io.Reader) (err error) {
	token, err := io.ReadAll(introduction)
	if err != nil {
		return err
	}
	connection, err := connect(address, rpcTLS, ca, name, []string{bundle})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, connection.Close()) }()
	if _, err := connection.Write([]byte{rpcNomad}); err != nil {
		return err
	}
	id, secret := uuid(), uuid()
	request := map[string]any{
		"Region": "global", "AuthToken": strings.TrimSpace(string(token)),
		"Node": map[string]any{
			"ID": id, "SecretID": secret, "Name": node, "Datacenter": "fsn1", "NodePool": pool, "Status": "initializing",
			"Attributes": map[string]string{"kernel.name": "linux"},
		},
	}
	var answer map[string]any
	if err := msgpackrpc.CallWithCodec(msgpackrpc.NewCodecFromHandle(true, true, connection, &codec.MsgpackHandle{}), "Node.Register", request, &answer); err != nil {
		return err
	}
	_, err = fmt.Fprintln(os.Stdout, id)
	return err
}

func uuid() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
