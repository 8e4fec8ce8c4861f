package infra

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// testKey has the form of a public key.
const testKey = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDMEZQ==\n=AAAA\n-----END PGP PUBLIC KEY BLOCK-----\n"

// value is a value of a key, and what is said of it; empty if it is good.
type value struct{ key, json, want string }

// clients is the value of pools in which the pool of clients has further keys, or others.
func clients(keys string) string {
	pool := map[string]any{"name": "client", "count": 3, "type": "cpx42", "subnet": "10.0.2.0/24", "roles": []string{"nomad-client"}}
	changes := map[string]any{}
	if err := json.Unmarshal([]byte("{"+keys+"}"), &changes); err != nil {
		panic(err)
	}
	for key, change := range changes {
		pool[key] = change
	}
	encoded, err := json.Marshal(pool)
	if err != nil {
		panic(err)
	}
	return `[{"name": "server", "count": 3, "type": "cpx32", "subnet": "10.0.1.0/24", "roles": ["vault", "consul-server", "nomad-server"]}, ` +
		string(encoded) + `]`
}

// transit is a transit seal with further parameters, or others.
func transit(parameters string) string {
	all := map[string]any{"address": "https://vault.example:8200", "token": "a-token", "key_name": "unseal", "mount_path": "transit/"}
	if err := json.Unmarshal([]byte("{"+parameters+"}"), &all); err != nil {
		panic(err)
	}
	encoded, err := json.Marshal(map[string]any{"type": "transit", "parameters": all})
	if err != nil {
		panic(err)
	}
	return string(encoded)
}

const (
	aws   = `{"type": "awskms", "parameters": {"access_key": "AKIA", "secret_key": "s3cret/+=", "kms_key_id": "arn:aws:kms:eu-central-1:1:key/2"%s}}`
	azure = `{"type": "azurekeyvault", "parameters": {"tenant_id": "46646709", "client_id": "03dc33fc", "client_secret": "DUJ~.-_", ` +
		`"vault_name": "hc-vault", "key_name": "vault_key"%s}}`
)

// place are values of the keys that say where the stack is.
var place = []value{
	{"location", `hil`, ""},
	{"location", `FSN1`, `location: must be one of Hetzner's locations (fsn1, nbg1, hel1, ash, hil, sin), got "FSN1": locations are written in lower-case`},
	{"location", `"fsn1\n"`, `location: must be one of Hetzner's locations (fsn1, nbg1, hel1, ash, hil, sin), got "fsn1\n"`},
	{"location", `fsn1{{ env }}`, `got "fsn1{{ env }}"`},
	{"location", `{}`, `location: must be text, got keys with values`},
	{"region", `global`, ""},
	{"region", `EU-1`, ""},
	{"region", `7`, ""},
	{"region", strings.Repeat("r", 50), ""},
	{"region", strings.Repeat("r", 51), `region: must be 1 to 50 letters, digits and dashes, the first and the last no dash, got "rrr`},
	{"region", strings.Repeat("r", 5000), `rrr… (5000 bytes)": it is part of the names on certificates`},
	{"region", `EU West`, `region: must be 1 to 50 letters, digits and dashes, the first and the last no dash, got "EU West"`},
	{"region", `eu.west`, `got "eu.west"`},
	{"region", `eu-`, `got "eu-"`},
	{"region", ``, `got ""`},
	{"region", `{{ file "/etc/shadow" }}`, `got "{{ file \"/etc/shadow\" }}"`},
	{"region", "global\n", `got "global\n"`},
	{"region", "glob\x1b[2Jal", `got "glob\x1b[2Jal"`},
	{"network", `172.16.0.0/13`, "pools[0].subnet: 10.0.1.0/24 is not part of network 172.16.0.0/13"},
	{"network", `100.64.0.0/10`, "network: must be an IPv4 network of RFC 1918, /24 or larger, without 172.31.1.1, got 100.64.0.0/10: choose a part of 10.0.0.0/8"},
	{"network", `8.8.8.0/24`, "got 8.8.8.0/24: choose a part of 10.0.0.0/8"},
	{"network", `10.0.0.0/25`, "network: 10.0.0.0/25 is too small: use a /24 or larger"},
	{"network", `0.0.0.0/0`, "got 0.0.0.0/0: choose a part"},
	{"network", `172.16.0.0/12`, "network: 172.16.0.0/12 holds 172.31.1.1, through which Hetzner's machines reach the internet"},
	{"network", `172.31.0.0/16`, "holds 172.31.1.1"},
	{"network", `fd00::/64`, "network: must be an IPv4 network such as 10.0.0.0/16, got fd00::/64: Hetzner's private networks have no IPv6"},
	{"network", `10.0.0.1`, `network: must be a network with the length of its prefix such as 10.0.0.0/16, got "10.0.0.1"`},
	{"bridgeNetwork", `100.64.0.0/16`, ""},
	{"bridgeNetwork", `192.168.7.0/30`, ""},
	{"bridgeNetwork", `192.168.7.0/31`, "bridgeNetwork: 192.168.7.0/31 is too small"},
	{"bridgeNetwork", `1.1.1.0/24`, "bridgeNetwork: must be an IPv4 network of RFC 1918 or 6598, /30 or larger, without 172.31.1.1, got 1.1.1.0/24"},
	{"bridgeNetwork", `172.31.0.0/20`, "bridgeNetwork: 172.31.0.0/20 holds 172.31.1.1"},
	{"operators", `["198.18.0.1/32", "93.184.216.0/24", "203.0.0.0/16"]`, ""},
	{"operators", `["93.184.216.34/24"]`, "operators[0]: must be a network without host bits, got 93.184.216.34/24: did you mean 93.184.216.0/24, or the address 93.184.216.34/32?"},
	{"operators", `["2001:db8::/32"]`, "operators[0]: must be an IPv4 network, got 2001:db8::/32: machines have no public IPv6 address"},
	{"operators", `["2a01:4f8::/32"]`, "operators[0]: must be an IPv4 network, got 2a01:4f8::/32"},
	{"operators", `["::ffff:93.184.216.0/120"]`, "operators[0]: must be an IPv4 network"},
	{"operators", `["0.0.0.0/0"]`, "operators[0]: 0.0.0.0/0 would open the APIs to the whole internet"},
	{"operators", `["::/0"]`, "operators[0]: ::/0 would open the APIs to the whole internet"},
	{"operators", `["0.0.0.0/1"]`, "operators[0]: 0.0.0.0/1 would open the APIs to a good part of the internet"},
	{"operators", `["203.0.113.0/24"]`, "operators[0]: 203.0.113.0/24 is an example, of addresses that nobody has"},
	{"operators", `["203.0.113.7/32"]`, "operators[0]: 203.0.113.7/32 is an example"},
	{"operators", `["192.0.2.0/25", "198.51.100.1/32"]`, "operators[1]: 198.51.100.1/32 is an example"},
	{"operators", `["10.1.0.0/16"]`, "operators[0]: 10.1.0.0/16 is no public network"},
	{"operators", `["127.0.0.1/32"]`, "operators[0]: 127.0.0.1/32 is no public network"},
	{"operators", `["93.184.216.34"]`, `operators[0]: must be a network with the length of its prefix such as 10.0.0.0/16, got "93.184.216.34"`},
	{"operators", `["REPLACE-ME"]`, "operators[0]: still has the placeholder REPLACE-ME"},
	{"operators", `[null]`, "operators[0]: missing"},
	{"operators", `93.184.216.0/24`, `operators: must be a list, got "93.184.216.0/24"`},
}

// machinesOf are values of the keys that say what the machines are.
var machinesOf = []value{
	{"image", `debian-12`, ""},
	{"image", "debian-12\nx", `image: must be debian-12, got "debian-12\nx": the machines' user-data is made for Debian 12`},
	{"image", `ubuntu-24.04`, `image: must be debian-12, got "ubuntu-24.04"`},
	{"image", `debian-13`, `got "debian-13"`},
	{"image", `114690387`, `got "114690387"`},
	{"pools", clients(`"name": "quorum"`), ""}, // the servers' lane has another name
	{"pools", clients(`"name": "Client"`), `pools[1].name: must be 2 to 42 lower-case letters, digits and dashes, the first a letter, the last no dash, got "Client"`},
	{"pools", clients(`"name": "` + strings.Repeat("c", 43) + `"`), `pools[1].name: must be 2 to 42`},
	{"pools", clients(`"name": "a` + "`" + `}}b"`), "got \"a`}}b\""},
	{"pools", clients(`"name": "client\n"`), `got "client\n"`},
	{"pools", clients(`"count": true`), `pools[1].count: must be a whole number, got true`},
	{"pools", clients(`"count": 1e99`), `pools[1].count: must be a whole number, got 1e+99`},
	{"pools", clients(`"count": 101`), `pools[1].count: must be between 1 and 100, got 101: Hetzner attaches no more to a network`},
	{"pools", clients(`"type": "ccx13"`), ""},
	{"pools", clients(`"type": "CPX42"`), `pools[1].type: must be a Hetzner server type, got "CPX42": server types are written in lower-case`},
	{"pools", clients(`"type": "cpx42 "`), `got "cpx42 "`},
	{"pools", clients(`"roles": ["nomad-client\u0000"]`), `pools[1].roles[0]: must be one of vault, consul-server, nomad-server, nomad-client`},
	{"pools", clients(`"nodePool": "gpu_nodes-1"`), ""},
	{"pools", clients(`"nodePool": "default"`), ""},
	{"pools", clients(`"nodePool": "gpu nodes"`), `pools[1].nodePool: must be 1 to 128 letters, digits, dashes and underscores such as batch, got "gpu nodes"`},
	{"pools", clients(`"nodePool": "all"`), `pools[1].nodePool: must not be "all": that is Nomad's own node pool`},
	{"pools", clients(`"nodePool": "` + strings.Repeat("g", 128) + `"`), ""},
	{"pools", clients(`"nodePool": "` + strings.Repeat("g", 129) + `"`), `pools[1].nodePool: must be 1 to 128`},
	{"pools", clients(`"meta": {"rack": 7, "disk.type": "NVMe & co"}`), ""},
	{"pools", clients(`"meta": {"ratio": 1.5}`), `pools[1].meta[ratio]: must be text, got the number 1.5: put it in quotes`},
	{"pools", clients(`"meta": {"ssd": true}`), `pools[1].meta[ssd]: must be text, got true: put it in quotes, as "true"`},
	{"pools", clients(`"meta": {"disk": ["fast"]}`), `pools[1].meta[disk]: must be text, got a list`},
	{"pools", clients(`"meta": {"disk type": "fast"}`), `pools[1].meta.disk type: the name must be of letters, digits, dashes and underscores`},
	{"pools", clients(`"meta": {"a..b": "fast"}`), `pools[1].meta.a..b: the name must be`},
	{"pools", clients(`"meta": {"a\nb": "fast"}`), `"hashistack:pools[1].meta.a\nb": the name must be`},
	{"pools", clients(`"meta": {"disk": "fast\nslow"}`), `pools[1].meta.disk: must be of printable characters, on one line, got "fast\nslow"`},
	{"pools", clients(`"meta": {"disk": "\u202efast"}`), `got "\u202efast"`},
	{"pools", clients(`"meta": {"disk": "{{ key }}"}`), `pools[1].meta.disk: must have no {{ and no }}`},
	{"pools", clients(`"meta": {"disk": "` + strings.Repeat("f", 256) + `"}`), `pools[1].meta.disk: must have at most 255 bytes`},
	{"pools", clients(`"meta": {"a": "` + strings.Repeat("f", 255) + `", "b": "` + strings.Repeat("f", 255) + `", "c": "` + strings.Repeat("f", 255) +
		`", "d": "` + strings.Repeat("f", 255) + `", "e": "f"}`), `pools[1].meta: has 1026 bytes, and the machines' user-data has room for 1024`},
	{"pools", clients(`"meta": []`), `pools[1].meta: must be keys with values, got a list`},
	{"pools", clients(`"open": [80, "443", "1-65535", "30000-32000"]`), ""},
	{"pools", clients(`"open": ["70000"]`), `pools[1].open[0]: must be a port such as 443 or a range of ports such as 30000-32000, from 1 to 65535, got "70000"`},
	{"pools", clients(`"open": ["443-80"]`), `pools[1].open[0]: must be a range that ascends, got "443-80": did you mean 80-443?`},
	{"pools", clients(`"open": ["0"]`), `got "0"`},
	{"pools", clients(`"open": ["080"]`), `got "080"`},
	{"pools", clients(`"open": ["80-70000"]`), `got "80-70000"`},
	{"pools", clients(`"open": ["80\n"]`), `got "80\n"`},
	{"pools", clients(`"open": [80.5]`), `pools[1].open[0]: must be text, got the number 80.5: put it in quotes`},
	{"pools", clients(`"open": 80`), `pools[1].open: must be a list, got 80`},
	{"pools", `{"name": "client"}`, `pools: must be a list, got keys with values`},
	{"pools", `["client"]`, `pools[0]: must be keys with values, got "client"`},
	{"pools", clients(`"a\nb": 1`), `"hashistack:pools[1].a\nb": unknown key`},
	{"versions", `{"consul": "1:1.22.3+ent-1~bpo12"}`, ""},
	{"versions", `{"consul": "latest"}`, `versions.consul: must be a Debian version such as 1.22.3-1, got "latest": ` + "`apt-cache madison` lists those of a package"},
	{"versions", `{"nomad": "2.0.5-1"}`, ""},
	{"versions", `{"nomad": "1:1.11.0~beta.1+ent-1"}`, ""},
	{"versions", `{"nomad": "1.10.5-1"}`, `versions.nomad: must be 1.11 or later, got "1.10.5-1": earlier ones let every machine`},
	{"versions", `{"nomad": "1.9-1"}`, `versions.nomad: must be 1.11 or later, got "1.9-1"`},
	{"versions", `{"nomad": "1.11.*"}`, `versions.nomad: must be a Debian version such as 1.22.3-1, got "1.11.*"`},
	{"versions", `{"vault": "1.21.0-1\nbash"}`, `versions.vault: must be a Debian version such as 1.22.3-1, got "1.21.0-1\nbash"`},
	{"versions", `{"consulTemplate": ""}`, `versions.consulTemplate: must be a Debian version such as 1.22.3-1, got ""`},
	{"versions", `{"vault": 1.21}`, `versions.vault: must be text, got the number 1.21: put it in quotes`},
	{"versions", `{"vault": "1.21.0 1"}`, `got "1.21.0 1"`},
	{"mirror", `{"url": "https://packages.example:8443/hashicorp/", "keyFile": "mirror.asc"}`, ""},
	{"mirror", `{"url": "http://198.18.0.1:8582/hashicorp", "keyFile": "mirror.asc"}`, ""},
	{"mirror", `{"url": "https://a.example bookworm main\ndeb [trusted=yes] http://evil.example x", "keyFile": "mirror.asc"}`,
		`mirror.url: must be an http or https address such as https://packages.example/hashicorp, of letters, digits and .-_~+ between slashes, ` +
			`at most 255 characters, got "https://a.example bookworm main\ndeb [trusted=yes] http://evil.example x"`},
	{"mirror", `{"url": "https://a.example\n", "keyFile": "mirror.asc"}`, `got "https://a.example\n"`},
	{"mirror", `{"url": "https://user:pass@a.example", "keyFile": "mirror.asc"}`, `mirror.url: must be`},
	{"mirror", `{"url": "https://a.example/$RELEASE", "keyFile": "mirror.asc"}`, `mirror.url: must be`},
	{"mirror", `{"url": "https://a.example/?x", "keyFile": "mirror.asc"}`, `mirror.url: must be`},
	{"mirror", `{"url": "https://a.example:70000/", "keyFile": "mirror.asc"}`, `mirror.url: must be`},
	{"mirror", `{"url": "ftp://a.example", "keyFile": "mirror.asc"}`, `mirror.url: must be`},
	{"mirror", `{"url": "https://", "keyFile": "mirror.asc"}`, `mirror.url: must be`},
	{"mirror", `{"url": "https://a.example", "keyFile": "mirror\n.asc"}`, `mirror.keyFile: must be the path of a file, in at most 255 printable characters, got "mirror\n.asc"`},
	{"mirror", `{"url": "https://a.example", "keyFile": "/dev/zero"}`, `mirror.keyFile: cannot be read: "/dev/zero" is no regular file`},
	{"mirror", `{"url": "https://a.example", "keyFile": "."}`, `mirror.keyFile: cannot be read: "." is no regular file`},
	{"mirror", `{"url": "https://a.example", "keyFile": "secret.asc"}`, `mirror.keyFile: "secret.asc" is no ASCII-armoured OpenPGP public key: export it with`},
	{"mirror", `{"url": "https://a.example", "keyFile": "large.asc"}`, `mirror.keyFile: "large.asc" has 9096 bytes, and the machines' user-data has room for a key of 8192`},
	{"mirror", `https://a.example`, `mirror: must be keys with values, got "https://a.example"`},
}

// operationOf are values of the keys that say how the platform is kept.
var operationOf = []value{
	{"seal", transit(``), ""},
	{"seal", transit(`"namespace": "ns1/", "disable_renewal": "true", "tls_server_name": "vault.example"`), ""},
	{"seal", transit(`"tls_skip_verify": "true"`), `seal.parameters.tls_skip_verify: must not be set: certificates are verified always`},
	{"seal", transit(`"tls_skip_verify": "false"`), `seal.parameters.tls_skip_verify: must not be set`},
	{"seal", transit(`"TLS-Skip-Verify": "1"`), `seal.parameters.TLS-Skip-Verify: must not be set`},
	{"seal", transit(`"tlsSkipVerify": "1"`), `seal.parameters.tlsSkipVerify: must not be set`},
	{"seal", transit(`"insecure": "1"`), `seal.parameters.insecure: must not be set`},
	{"seal", transit(`"adress": "https://vault.example"`), `seal.parameters.adress: "adress" is no parameter of the seal transit, which has address, disable_renewal, key_id_prefix,`},
	{"seal", transit(`"disabled": "true"`), `seal.parameters.disabled: "disabled" is no parameter of the seal transit`},
	{"seal", transit(`"address": "http://vault.example:8200"`), `seal.parameters.address: must be an https address of a host such as https://vault.example:8200, got "http://vault.example:8200"`},
	{"seal", transit(`"key_name": "unseal\nx"`), `seal.parameters.key_name: must be of printable characters, on one line; the value is not shown, as it may be a secret`},
	{"seal", transit(`"key_name": "{{ x }}"`), `seal.parameters.key_name: must have no {{ and no }}; the value is not shown`},
	{"seal", transit(`"a\nb": "x"`), `"hashistack:seal.parameters.a\nb": "a\nb" is no parameter of the seal transit`},
	{"seal", transit(`"token": "file:///etc/token"`), `seal.parameters.token: must be the value itself, got one that begins with file://: machines have no such files`},
	{"seal", transit(`"token": "env://TOKEN"`), `seal.parameters.token: must be the value itself, got one that begins with env://`},
	{"seal", transit(`"token": ""`), `seal.parameters.token: missing: Vault needs it`},
	{"seal", transit(`"token": "` + strings.Repeat("t", 2049) + `"`), `seal.parameters.token: must have at most 2048 bytes; the value is not shown`},
	{"seal", transit(`"disable_renewal": "perhaps"`), `seal.parameters.disable_renewal: must be true or false, in quotes, got "perhaps"`},
	{"seal", transit(`"tls_ca_cert": "/etc/ca.pem"`), `seal.parameters.tls_ca_cert: must not be set, got "/etc/ca.pem": it names a file, and no machine has such a file; ` +
		`that Vault needs a certificate of an authority that Debian trusts`},
	{"seal", `{"type": "transit"}`, `seal.parameters: missing: set what Vault needs to reach the service`},
	{"seal", `{"type": "Transit"}`, `seal.type: must be one of transit, awskms, azurekeyvault, got "Transit"`},
	{"seal", fmt.Sprintf(aws, `, "region": "eu-central-1", "endpoint": "https://kms.example"`), ""},
	{"seal", fmt.Sprintf(aws, `, "endpoint": "kms.example"`), `seal.parameters.endpoint: must be an https address`},
	{"seal", fmt.Sprintf(aws, `, "shared_creds_filename": "/root/.aws"`), `"shared_creds_filename" is no parameter of the seal awskms, which has access_key, endpoint, kms_key_id,`},
	{"seal", `{"type": "awskms", "parameters": {"kms_key_id": "x"}}`, `seal.parameters.access_key: missing: Vault needs it, and finds it nowhere else on a machine`},
	{"seal", fmt.Sprintf(azure, `, "resource": "managedhsm.azure.net", "environment": "AZUREPUBLICCLOUD"`), ""},
	{"seal", fmt.Sprintf(azure, `, "resource": "https://vault.azure.net"`), `seal.parameters.resource: must be the name of a domain`},
	{"seal", `{"type": "gcpckms", "parameters": {"credentials": "/etc/gcp.json", "project": "p", "region": "global", "key_ring": "r", "crypto_key": "k"}}`,
		`seal.parameters.credentials: must not be set, got "/etc/gcp.json": it names a file, and no machine has such a file; use transit, awskms or azurekeyvault`},
	{"seal", `{"type": "gcpckms", "parameters": {"project": "p", "region": "global", "key_ring": "r", "crypto_key": "k"}}`,
		`seal.type: must not be gcpckms: Vault reads Google's credentials from a file, and no machine has such a file`},
	{"vaultKeys", `{}`, ""},
	{"vaultKeys", `{"shares": 5, "threshold": 3}`, ""},
	{"vaultKeys", `{"shares": 255, "threshold": 255}`, ""},
	{"vaultKeys", `{"shares": 0}`, `vaultKeys.shares: must be between 1 and 255, got 0: Vault splits a key into at most 255 shares`},
	{"vaultKeys", `{"shares": 256, "threshold": 2}`, `vaultKeys.shares: must be between 1 and 255, got 256`},
	{"vaultKeys", `{"shares": 5, "threshold": 6}`, `vaultKeys.threshold: must be at most vaultKeys.shares, 5, got 6: nobody could have so many keys`},
	{"vaultKeys", `{"shares": 5}`, `vaultKeys.threshold: must be at least 2 with 5 shares, got 1: Vault does not make several keys of which any is enough`},
	{"vaultKeys", `{"threshold": 0}`, `vaultKeys.threshold: must be between 1 and 255, got 0`},
	{"vaultKeys", `{"pgpKeyFiles": ["alice.asc"]}`, ""},
	{"vaultKeys", `{"pgpKeyFiles": ["alice.gpg"]}`, ""},
	{"vaultKeys", `{"pgpKeyFiles": ["alice.b64"]}`, ""},
	{"vaultKeys", `{"pgpKeyFiles": ["expired.asc"]}`, ""}, // it was good when Vault was initialised
	{"vaultKeys", `{"shares": 2, "threshold": 2, "pgpKeyFiles": ["alice.asc", "bob.asc"]}`, ""},
	{"vaultKeys", `{"pgpKeyFiles": ["alice.asc"]}`, `vaultKeys.pgpKeyFiles: must be left out without seal: the stack unseals every machine that it replaces`},
	{"vaultKeys", `{"pgpKeyFiles": ["alice.asc", "bob.asc"]}`, `vaultKeys.pgpKeyFiles: must be one file for each of the 1 vaultKeys.shares, got 2`},
	{"vaultKeys", `{"shares": 2, "threshold": 2, "pgpKeyFiles": ["alice.asc", "alice.gpg"]}`, `vaultKeys.pgpKeyFiles[1]: "alice.gpg" has the same key as vaultKeys.pgpKeyFiles[0], `},
	{"vaultKeys", `{"pgpKeyFiles": ["both.gpg"]}`, `vaultKeys.pgpKeyFiles[0]: "both.gpg" holds more than one key`},
	{"vaultKeys", `{"pgpKeyFiles": ["both.asc"]}`, `vaultKeys.pgpKeyFiles[0]: "both.asc" holds more than one key`},
	{"vaultKeys", `{"pgpKeyFiles": ["private.asc"]}`, `vaultKeys.pgpKeyFiles[0]: "private.asc" holds a private key, which nobody but its owner should have`},
	{"vaultKeys", `{"pgpKeyFiles": ["signer.asc"]}`, `vaultKeys.pgpKeyFiles[0]: "signer.asc" holds the key`},
	{"vaultKeys", `{"pgpKeyFiles": ["mirror.asc"]}`, `vaultKeys.pgpKeyFiles[0]: "mirror.asc" holds no OpenPGP public key`},
	{"vaultKeys", `{"pgpKeyFiles": ["cut.asc"]}`, `vaultKeys.pgpKeyFiles[0]: "cut.asc" has a broken ASCII armour`},
	{"vaultKeys", `{"pgpKeyFiles": ["age1qyqszqgpqyqszqgp"]}`, `vaultKeys.pgpKeyFiles[0]: cannot be read`},
	{"vaultKeys", `{"pgpKeyFiles": ["/dev/zero"]}`, `vaultKeys.pgpKeyFiles[0]: cannot be read: "/dev/zero" is no regular file`},
	{"vaultKeys", `{"pgpKeyFiles": "alice.asc"}`, `vaultKeys.pgpKeyFiles: must be a list, got "alice.asc"`},
	{"lifetimes", `{"certificate": "4380h"}`, ""},
	{"lifetimes", `{"certificate": "8760h"}`, `lifetimes.certificate: must be a duration between 30s and 4380h0m0s such as 90s, 30m or 24h, got 8760h0m0s: below,`},
	{"lifetimes", `{"certificate": "4380h0m1s"}`, `lifetimes.certificate: must be a duration`},
	{"lifetimes", `{"tokenMax": "8760h"}`, ""},
	{"lifetimes", `{"workload": "768h"}`, ""},
	{"lifetimes", `{"workload": "769h"}`, `lifetimes.workload: must be a duration between 30s and 768h0m0s`},
	{"lifetimes", `{"certificate": "24h\n"}`, `lifetimes.certificate: must be a duration such as 90s, 30m or 24h, got "24h\n"`},
	{"lifetimes", `24h`, `lifetimes: must be keys with values, got "24h"`},
	{"via", `server-2`, ""},
	{"via", `client-1`, `via: must be one of server-1, server-2, server-3, got "client-1"`},
	{"via", `server-4`, `via: must be one of server-1, server-2, server-3, got "server-4"`},
	{"via", `{{ server }}`, `via: must be the name of a machine`},
	{"patience", `5m`, ""},
	{"patience", `5`, `patience: must be a duration such as 90s, 30m or 24h, got "5"`},
	{"generations", `{"root": 9223372036854775807}`, `generations.root: must be a whole number, got 9223372036854775807`},
	{"generations", `{"nomadGossip": 1001}`, `generations.nomadGossip: must be between 1 and 1000, got 1001`},
	{"generations", `{"nomadGossip": 1000}`, ""},
	{"generations", `{"nomadGossip": "2"}`, `generations.nomadGossip: must be a whole number, got "2"`},
	{"colour\n", `blue`, `"hashistack:colour\n": unknown key`},
}

// keyFiles are the files that values of mirror.keyFile name.
func keyFiles(t testing.TB) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, content := range map[string]string{
		"mirror.asc": testKey,
		"secret.asc": strings.ReplaceAll(testKey, "PUBLIC", "PRIVATE"),
		"large.asc":  strings.Replace(testKey, "mDMEZQ==", strings.Repeat("mDME", 2254), 1),
	} {
		require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
	}
	pgpKeyFiles(t)
}

// The wrong value of each key stands beside the right one.
func TestValues(t *testing.T) {
	t.Setenv("HCLOUD_TOKEN", "a token")
	base := stackConfig(t, "prod")
	keyFiles(t)
	for name, values := range map[string][]value{"place": place, "machines": machinesOf, "operation": operationOf} {
		t.Run(name, func(t *testing.T) {
			for _, v := range values {
				raw := map[string]string{}
				for key, is := range base {
					raw[key] = is
				}
				if strings.Contains(v.json, "pgpKeyFiles") && !strings.Contains(v.want, "without seal") {
					raw["hashistack:seal"] = transit("")
				}
				raw["hashistack:"+v.key] = v.json
				_, err := LoadConfig(raw)
				if v.want == "" {
					require.NoError(t, err, "%s: %s", v.key, v.json)
					continue
				}
				if assert.Error(t, err, "%s: %s", v.key, v.json) {
					assert.Contains(t, err.Error(), v.want)
					assert.True(t, printable(strings.ReplaceAll(err.Error(), "\n  - ", "")), "%q", err)
				}
			}
		})
	}
}

// A secret is not repeated in a problem.
func TestSecretsAreNotShown(t *testing.T) {
	t.Setenv("HCLOUD_TOKEN", "a token")
	raw := stackConfig(t, "prod")
	for _, secret := range []string{"hvs.s3cret\\n", "{{hvs.s3cret", "file://hvs.s3cret", strings.Repeat("hvs.s3cret", 300)} {
		raw["hashistack:seal"] = transit(`"token": "` + secret + `"`)
		_, err := LoadConfig(raw)
		require.ErrorContains(t, err, "seal.parameters.token: must ")
		assert.NotContains(t, err.Error(), "hvs.s3cret")
	}
}

// Each pool may be good, and all together too many.
func TestMachinesOfANetwork(t *testing.T) {
	t.Setenv("HCLOUD_TOKEN", "a token")
	raw := stackConfig(t, "prod")
	pools := []string{`{"name": "server", "count": 5, "type": "cpx32", "subnet": "10.0.0.0/24", "roles": ["vault", "consul-server", "nomad-server"]}`}
	add := func(count int) {
		pools = append(pools, fmt.Sprintf(`{"name": "c%dx", "count": %d, "type": "cpx32", "subnet": "10.0.%d.0/24", "roles": ["nomad-client"]}`, len(pools), count, len(pools)))
		raw["hashistack:pools"] = "[" + strings.Join(pools, ",") + "]"
	}
	add(70)
	add(25)
	_, err := LoadConfig(raw)
	require.NoError(t, err)
	add(1)
	_, err = LoadConfig(raw)
	require.ErrorContains(t, err, "hashistack:pools: have 101 machines together, and Hetzner attaches at most 100 to a network")
}

// The last machine has the last address but that for broadcasts.
func TestMachinesFitInTheirSubnet(t *testing.T) {
	t.Setenv("HCLOUD_TOKEN", "a token")
	for _, test := range []struct {
		subnet string
		fits   int
	}{{"10.0.2.0/27", 21}, {"10.0.2.0/26", 53}, {"10.0.2.0/25", 97}, {"10.0.2.0/24", 97}} {
		raw := stackConfig(t, "prod")
		clientsOf := func(count int) string {
			return clients(fmt.Sprintf(`"name": "client", "count": %d, "subnet": %q`, count, test.subnet))
		}
		raw["hashistack:pools"] = clientsOf(test.fits)
		cfg, err := LoadConfig(raw)
		require.NoError(t, err, test.subnet)
		last := cfg.Pools[1].peers()[test.fits-1].Address
		assert.True(t, cfg.Pools[1].Subnet.Contains(last.Next()), "%s is not the last address of %s", last, test.subnet)
		if test.fits == 97 {
			continue // with three servers these are all that a network has
		}
		raw["hashistack:pools"] = clientsOf(test.fits + 1)
		_, err = LoadConfig(raw)
		require.ErrorContains(t, err, fmt.Sprintf("hashistack:pools[1].count: %d machines do not fit in subnet %s, which has room for %d: ", test.fits+1, test.subnet, test.fits))
	}
}

func TestStackName(t *testing.T) {
	for _, good := range []string{"prod", "eu.prod_1", strings.Repeat("s", 63)} {
		require.NoError(t, stackName(good))
	}
	for _, bad := range []string{"", "-prod", "prod_", strings.Repeat("s", 64), "pro d", "prod\n"} {
		require.ErrorContains(t, stackName(bad), "must be a stack name of 1 to 63 letters", bad)
	}
}
