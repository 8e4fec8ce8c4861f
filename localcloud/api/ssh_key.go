package api

import (
	"strings"

	"github.com/hetznercloud/hcloud-go/v2/hcloud/schema"
	"golang.org/x/crypto/ssh"

	"hashistack/localcloud/store"
)

type sshKey struct {
	store.Meta
	Fingerprint string `json:"fingerprint"`
	PublicKey   string `json:"public_key"`
}

func (k *sshKey) wire() schema.SSHKey {
	return schema.SSHKey{
		ID: k.ID, Name: k.Name, Fingerprint: k.Fingerprint, PublicKey: k.PublicKey, Labels: wireLabels(&k.Meta), Created: k.Created,
	}
}

func (a *API) sshKeys() *collection[*sshKey, schema.SSHKey] {
	return &collection[*sshKey, schema.SSHKey]{
		singular: "ssh_key", plural: "ssh_keys", table: &a.state.SSHKeys, wire: (*sshKey).wire,
		filters: map[string]func(*sshKey, string) bool{
			"fingerprint": func(k *sshKey, fingerprint string) bool { return k.Fingerprint == fingerprint },
		},
		sorts: sortsByNameAndAge[*sshKey](),
	}
}

func (a *API) sshKeyRoutes() {
	keys := a.sshKeys()
	keys.routes(a)
	a.route("POST /ssh_keys", a.createSSHKey)
	a.route("PUT /ssh_keys/{id}", func(c *call) (reply, error) {
		var req schema.SSHKeyUpdateRequest
		key, err := keys.find(c)
		if err == nil {
			err = decode(c, &req)
		}
		if err == nil {
			err = keys.update(key, req.Name, req.Labels)
		}
		if err != nil {
			return reply{}, err
		}
		return ok(schema.SSHKeyUpdateResponse{SSHKey: key.wire()})
	})
	a.route("DELETE /ssh_keys/{id}", func(c *call) (reply, error) {
		key, err := keys.find(c)
		if err != nil {
			return reply{}, err
		}
		a.state.SSHKeys.Remove(key.ID) // Servers that were made with the key keep it.
		return noContent()
	})
}

func (a *API) createSSHKey(c *call) (reply, error) {
	var req schema.SSHKeyCreateRequest
	if err := decode(c, &req); err != nil {
		return reply{}, err
	}
	text := strings.TrimSpace(req.PublicKey)
	public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(text))
	if err != nil {
		return reply{}, invalid("public_key", "must be in the format of authorized_keys: %v", err)
	}
	if strings.ContainsAny(text, "\r\n") {
		return reply{}, invalid("public_key", "must be one key, on one line") // more lines would let others in as well
	}
	fingerprint := ssh.FingerprintLegacyMD5(public)
	if _, taken := a.state.SSHKeys.Find(func(k *sshKey) bool { return k.Fingerprint == fingerprint }); taken {
		return reply{}, notUnique("public_key", "SSH key with the same fingerprint already exists")
	}
	meta, err := a.sshKeys().newMeta(a, req.Name, req.Labels)
	if err != nil {
		return reply{}, err
	}
	key := &sshKey{Meta: meta, Fingerprint: fingerprint, PublicKey: text}
	a.state.SSHKeys.Add(key)
	return created(schema.SSHKeyCreateResponse{SSHKey: key.wire()})
}
