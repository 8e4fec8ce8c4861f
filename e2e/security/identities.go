package security

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"hashistack/internal/names"
)

// taskSecret is a file in a task's secrets that holds a token.
func (w *world) taskSecret(file string) token {
	return func(ctx context.Context) (string, error) {
		content, err := w.inside(ctx, holder, "/bin/busybox", "cat", "/secrets/"+file)
		return strings.TrimSpace(string(content)), err
	}
}

// ofTask are attempts with the tokens that Vault and Consul give to a task.
func (w *world) ofTask() []Attempt {
	var attempts []Attempt
	attempts = append(attempts, w.asks("task", w.vault(), w.taskSecret("vault_token"),
		request{"read the gossip key of Consul", "GET", "/v1/" + names.PlatformData(names.GossipConsul), ""},
		request{"read the gossip key of Nomad", "GET", "/v1/" + names.PlatformData(names.GossipNomad), ""},
		request{"list mounts", "GET", "/v1/sys/mounts", ""},
		request{"read a policy", "GET", "/v1/sys/policies/acl/nomad-workloads", ""},
		request{"make a token", "POST", "/v1/auth/token/create", `{"policies": ["default"], "ttl": "1m"}`},
		request{"get a management token of Nomad", "GET", "/v1/" + names.NomadCreds(names.Management), ""},
		request{"get a management token of Consul", "GET", "/v1/" + names.ConsulCreds(names.Management), ""},
		request{"get a deployer's token of Nomad", "GET", "/v1/" + names.NomadCreds(names.Deployer), ""},
		request{"get a certificate of a Consul client", "POST", "/v1/" + names.Issue(names.PKIConsul, names.PKIClient), `{"common_name": "client.fsn1.consul"}`},
		request{"write its own secret", "POST", "/v1/secret/data/default/probe-own/config", `{"data": {"of": "default/probe-own/config"}}`},
		request{"list the jobs that have secrets", "GET", "/v1/secret/metadata/default?list=true", ""},
		request{"log in as the role of machines", "GET", "/v1/auth/approle/role?list=true", ""},
	)...)
	return append(attempts, w.asks("task", w.consul(), w.taskSecret("consul_token"),
		request{"write a key", "PUT", keyOfProbe, "x"},
		request{"register a node", "PUT", "/v1/catalog/register", nodeAt(2)},
		request{"allow a service to talk to another", "PUT", intentionOfProbe, `{"Action": "allow"}`},
		request{"list tokens", "GET", "/v1/acl/tokens", ""},
		request{"read autopilot's configuration", "GET", "/v1/operator/autopilot/configuration", ""},
		request{"make a session", "PUT", "/v1/session/create", `{"TTL": "10s", "Node": "` + w.server + `"}`},
	)...)
}

// ofDeployer are attempts with a deployer's tokens.
func (w *world) ofDeployer() []Attempt {
	const from = "deployer"
	job := func(namespace string) string {
		t := task{id: "probe-deployed", namespace: namespace, script: "true"}
		text, err := json.Marshal(map[string]any{"Job": t.job(w.client), "Diff": false})
		if err != nil {
			panic(err) // of a type that is JSON
		}
		return string(text)
	}
	var attempts []Attempt
	attempts = append(attempts, w.asks(from, w.vault(), known(w.deployer.Vault),
		request{"get a management token of Nomad", "GET", "/v1/" + names.NomadCreds(names.Management), ""},
		request{"get a management token of Consul", "GET", "/v1/" + names.ConsulCreds(names.Management), ""},
		request{"read a secret of another namespace", "GET", "/v1/secret/data/" + other + "/twin/config", ""},
		request{"read the gossip key of Nomad", "GET", "/v1/" + names.PlatformData(names.GossipNomad), ""},
		request{"read a policy", "GET", "/v1/sys/policies/acl/deployer", ""},
		request{"get a server's certificate", "POST", "/v1/" + names.Issue(names.PKINomad, names.PKIServer), `{"common_name": "server.global.nomad"}`},
	)...)
	attempts = append(attempts, w.asks(from, w.consul(), known(w.deployer.Consul),
		request{"write a key", "PUT", keyOfProbe, "x"},
		request{"register a node", "PUT", "/v1/catalog/register", nodeAt(3)},
		request{"list tokens", "GET", "/v1/acl/tokens", ""},
	)...)
	attempts = append(attempts, w.asks(from, w.nomadAPI(), known(w.deployer.Nomad),
		request{"read a job of another namespace", "GET", "/v1/job/twin?namespace=" + other, ""},
		request{"list tokens", "GET", "/v1/acl/tokens", ""},
		request{"collect garbage", "PUT", "/v1/system/gc", ""},
		request{"make a namespace", "PUT", "/v1/namespace/" + other, `{"Name": "` + other + `", "Description": "of the tests of security"}`},
		request{"take a snapshot", "GET", "/v1/operator/snapshot", ""},
	)...)
	plan := func(namespace string) func(context.Context) error {
		return func(ctx context.Context) error {
			return w.ask(ctx, w.nomadAPI(), known(w.deployer.Nomad),
				request{method: "PUT", path: "/v1/job/probe-deployed/plan?namespace=" + namespace, body: job(namespace)})
		}
	}
	return append(attempts, Attempt{
		From: from, What: "Nomad: plan a job in another namespace", Because: "403", Refused: plan(other), Permitted: plan("default"),
	})
}

// ofOperator are attempts with the tokens of somebody who runs the platform. In Consul and Nomad they may do everything.
func (w *world) ofOperator() []Attempt {
	return w.asks("operator's token", w.vault(), known(w.operator.Vault),
		request{"read a job's secret", "GET", "/v1/secret/data/default/page/config", ""},
		request{"read the gossip key of Nomad", "GET", "/v1/" + names.PlatformData(names.GossipNomad), ""},
		request{"delete a policy", "DELETE", "/v1/sys/policies/acl/security-probe", ""},
		request{"make a token with a policy of its choice", "POST", "/v1/auth/token/create", `{"policies": ["nomad-workloads"], "ttl": "1m"}`},
		request{"list SecretIDs of a machine", "GET", "/v1/auth/" + names.AppRole + "/role/" + w.server + "/secret-id?list=true", ""},
		request{"take a snapshot", "GET", "/v1/sys/storage/raft/snapshot", ""},
		request{"read the engine's access to Consul", "GET", "/v1/" + names.ConsulEngine + "/config/access", ""},
		request{"get a server's certificate", "POST", "/v1/" + names.Issue(names.PKINomad, names.PKIServer), `{"common_name": "server.global.nomad"}`},
	)
}

// onMachineAs are requests of somebody on a machine with a token of that machine's, which may be bound to its address. The
// twin is the same request, from there, with the stack's token. An API's address is as the machine knows it.
func (w *world) onMachineAs(from, machine string, a api, with token, requests ...request) []Attempt {
	ask := func(with token, r request) func(context.Context) error {
		return func(ctx context.Context) error {
			secret, err := with(ctx)
			if err != nil {
				return err
			}
			// Neither token nor body is seen among the arguments of a process.
			script := "read -r token\nexec curl --silent --show-error --fail-with-body --max-time 10 --cacert " + names.CAFile +
				` --header 'Content-Type: application/json' --header @<(printf '` + a.header + `: %s\n' "$token") --request ` + r.method + " --data-binary @- '" + a.address + r.path + "'"
			_, err = w.stack.OnMachineWith(ctx, strings.NewReader(secret+"\n"+r.body), machine, "bash", "-c", script)
			return err
		}
	}
	var attempts []Attempt
	for _, r := range requests {
		attempts = append(attempts, Attempt{
			From: from, What: a.product + ": " + r.what, Because: "error: 403",
			Refused: ask(with, r), Permitted: ask(known(a.token), r),
		})
	}
	return attempts
}

// fileOf is a token in a file of a machine: the whole of it, or a value in JSON that a path of keys leads to.
func (w *world) fileOf(machine, path string, keys ...string) token {
	return func(ctx context.Context) (string, error) {
		content, err := w.stack.OnMachine(ctx, machine, "cat", path)
		if err != nil || len(keys) == 0 {
			return strings.TrimSpace(string(content)), err
		}
		var value any
		if err := json.Unmarshal(content, &value); err != nil {
			return "", fmt.Errorf("%s: %w", path, err)
		}
		for _, key := range keys {
			if list, is := value.([]any); is && len(list) > 0 {
				value = list[0]
			}
			object, is := value.(map[string]any)
			if !is {
				return "", fmt.Errorf("%s has no %s", path, strings.Join(keys, "."))
			}
			value = object[key]
		}
		text, is := value.(string)
		if !is || text == "" {
			return "", errors.New(path + " has no token")
		}
		return text, nil
	}
}

// ofMachine are attempts of root on a client with the client's tokens.
func (w *world) ofMachine() []Attempt {
	const from = "root on a client"
	vault, consul := w.vault(), w.consul()
	vault.address, consul.address = names.VaultAddress(), names.HTTPS(names.Localhost, names.ConsulPort)
	var attempts []Attempt
	attempts = append(attempts, w.onMachineAs(from, w.client, vault, w.fileOf(w.client, names.VaultToken),
		request{"read the gossip key of Nomad", "GET", "/v1/" + names.PlatformData(names.GossipNomad), ""},
		request{"read a job's secret", "GET", "/v1/secret/data/default/page/config", ""},
		request{"list mounts", "GET", "/v1/sys/mounts", ""},
		request{"read a policy", "GET", "/v1/sys/policies/acl/deployer", ""},
		request{"make a token", "POST", "/v1/auth/token/create", `{"policies": ["default"], "ttl": "1m"}`},
		request{"list the logins of machines", "GET", "/v1/auth/" + names.AppRole + "/role?list=true", ""},
		request{"get a management token of Nomad", "GET", "/v1/" + names.NomadCreds(names.Management), ""},
		request{"get a management token of Consul", "GET", "/v1/" + names.ConsulCreds(names.Management), ""},
	)...)
	writes := []request{
		{"write a key", "PUT", keyOfProbe, "x"},
		{"list tokens", "GET", "/v1/acl/tokens", ""},
		{"register a node", "PUT", "/v1/catalog/register", ""},
	}
	for i, of := range []struct {
		agent string
		token token
	}{
		{"the agent's token", w.fileOf(w.client, names.ConsulDir+"tokens.json", "acl", "tokens", "agent")},
		{"the token of its DNS", w.fileOf(w.client, names.ConsulDir+"tokens.json", "acl", "tokens", "dns")},
		{"the token of its Nomad", w.fileOf(w.client, names.NomadDir+"consul.json", "consul", "token")},
	} {
		for _, r := range writes {
			r.what += " with " + of.agent
			if r.body == "" && r.method == "PUT" {
				r.body = nodeAt(4 + i)
			}
			attempts = append(attempts, w.onMachineAs(from, w.client, consul, of.token, r)...)
		}
	}
	return attempts
}
