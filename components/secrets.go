package components

import (
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/pulumi/pulumi-random/sdk/v4/go/random"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const (
	gossipKeyBytes = 32 // selects AES-256
	uuidBytes      = 16
)

// newGossipKey declares a gossip encryption key; the result is base64, as Consul and Nomad take it. Another generation is
// another key.
func newGossipKey(ctx *pulumi.Context, name string, generation int, parent pulumi.Resource) (pulumi.StringOutput, error) {
	key, err := random.NewRandomBytes(ctx, name, &random.RandomBytesArgs{
		Length:  pulumi.Int(gossipKeyBytes),
		Keepers: keptBy(generation),
	}, pulumi.Parent(parent))
	if err != nil {
		return pulumi.StringOutput{}, fmt.Errorf("choose gossip key %s: %w", name, err)
	}
	return key.Base64, nil
}

// newUUID declares a secret in the form of a version 4 UUID, as ACL systems take it. random.RandomUuid will not do: the
// value is its resource ID too, and IDs are never encrypted. Another generation is another secret; the first is 1.
func newUUID(ctx *pulumi.Context, name string, generation int, parent pulumi.Resource) (pulumi.StringOutput, error) {
	args := &random.RandomBytesArgs{Length: pulumi.Int(uuidBytes)}
	if generation > 1 { // the first has no keeper, in existing stacks neither
		args.Keepers = keptBy(generation)
	}
	secret, err := random.NewRandomBytes(ctx, name, args, pulumi.Parent(parent))
	if err != nil {
		return pulumi.StringOutput{}, fmt.Errorf("choose secret %s: %w", name, err)
	}
	return secret.Hex.ApplyT(formatUUID).(pulumi.StringOutput), nil
}

// keptBy makes another random value with another generation.
func keptBy(generation int) pulumi.StringMap {
	return pulumi.StringMap{"generation": pulumi.String(strconv.Itoa(generation))}
}

func formatUUID(digits string) (string, error) {
	b, err := hex.DecodeString(digits)
	if err != nil {
		return "", fmt.Errorf("decode the bytes of a UUID: %w", err)
	}
	if len(b) != uuidBytes {
		return "", fmt.Errorf("a UUID has %d bytes, got %d", uuidBytes, len(b))
	}
	b[6] = b[6]&0x0f | 0x40 // version 4: random
	b[8] = b[8]&0x3f | 0x80 // variant 1
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}
