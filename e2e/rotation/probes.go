package rotation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	consul "github.com/hashicorp/consul/api"
	nomad "github.com/hashicorp/nomad/api"
	vault "github.com/hashicorp/vault/api"

	"hashistack/e2e/jobs"
	"hashistack/e2e/stack"
	"hashistack/internal/names"
)

// The probes, by what a user does.
const (
	consulAPI   = "Consul: write to the catalog and read it from another server"
	consulAgent = "Consul: read through the agent of each machine"
	consulDNS   = "Consul DNS: find the sample job from each machine"
	nomadAPI    = "Nomad: list nodes and register a job"
	vaultAPI    = "Vault: log in and read a secret"
	engines     = "Vault: issue tokens of Consul and of Nomad"
	pageHTTP    = "sample job: the page of each allocation"
	pageAny     = "sample job: the page of any allocation"
	allThere    = "machines: have every credential"
)

var probeNames = []string{consulAPI, consulAgent, consulDNS, nomadAPI, vaultAPI, engines, pageHTTP, pageAny, allThere}

// ofServers are the probes of which each server is one of its own as well, see atServer.
var ofServers = []string{consulAPI, nomadAPI, vaultAPI, engines}

// atServer names a probe as one server answers it: a server that is away must not hide behind the others.
func atServer(name, server string) string { return name + ", at " + server }

// probeUser is the prober's user name in Vault.
const probeUser = "prober"

// probePolicy is what the prober may do in Vault.
const probePolicy = `
path "secret/data/default/page/*" { capabilities = ["read"] }
path "consul/creds/deployer" { capabilities = ["read"] }
path "nomad/creds/deployer" { capabilities = ["read"] }
path "sys/leases/revoke" { capabilities = ["update"] }
`

// users makes the probes. Each probe has connections of its own, so that it also makes a TLS handshake of its own. It
// asks the next server when one does not answer, as every client with more than one address does.
type users struct {
	stack    *stack.Stack
	outputs  *stack.Outputs
	sample   *jobs.Sample
	pages    atomic.Pointer[[]string] // addresses of the sample job's allocations
	password string                   // the prober's in Vault
	machines []string
	servers  []string
}

// probes are all probes of a platform on which the sample job runs.
func (u *users) probes() []probe {
	return []probe{
		u.anyServer(consulAPI, u.consul),
		u.anyServer(nomadAPI, u.nomad),
		u.anyServer(vaultAPI, u.vault),
		u.anyServer(engines, u.engines),
		u.onMachine,
	}
}

// prepare makes what the probes need: a user in Vault who may read the sample job's secret.
func (u *users) prepare(ctx context.Context) error {
	client, err := u.outputs.Vault()
	if err != nil {
		return err
	}
	if err := client.Sys().PutPolicyWithContext(ctx, probeUser, probePolicy); err != nil {
		return fmt.Errorf("write the prober's policy: %w", err)
	}
	mounts, err := client.Sys().ListAuthWithContext(ctx)
	if err != nil {
		return err
	}
	if mounts["userpass/"] == nil {
		if _, err := client.Logical().WriteWithContext(ctx, "sys/auth/userpass", map[string]any{"type": "userpass"}); err != nil {
			return fmt.Errorf("enable userpass: %w", err)
		}
	}
	_, err = client.Logical().WriteWithContext(ctx, "auth/userpass/users/"+probeUser, map[string]any{
		"password": u.password, "token_policies": []string{probeUser}, "token_type": "batch", "token_ttl": "1m",
	})
	if err != nil {
		return fmt.Errorf("create the prober in Vault: %w", err)
	}
	return nil
}

// anyServer is a probe that asks one server after the other until one does what is asked. It begins with another one at each tick,
// and records what each said.
func (u *users) anyServer(name string, try func(ctx context.Context, tick int, address, next string) error) probe {
	return func(ctx context.Context, tick int, record func(string, error)) {
		var said []error
		for i := range u.servers {
			server, next := u.servers[(tick+i)%len(u.servers)], u.servers[(tick+i+1)%len(u.servers)]
			asking, cancel := context.WithTimeout(ctx, stack.AnswerTimeout)
			err := try(asking, tick, u.outputs.Machines[server], u.outputs.Machines[next])
			cancel()
			record(atServer(name, server), err)
			if err == nil {
				record(name, nil)
				return
			}
			said = append(said, fmt.Errorf("%s: %w", server, err))
		}
		record(name, errors.Join(said...))
	}
}

func (u *users) consul(ctx context.Context, tick int, address, next string) error {
	writer, err := u.outputs.ConsulAt(names.HTTPS(address, names.ConsulPort))
	if err != nil {
		return err
	}
	tag := fmt.Sprintf("tick-%d", tick)
	if _, err := writer.Catalog().Register(&consul.CatalogRegistration{
		Node: "prober", Address: "192.0.2.1", // for documentation: it is nowhere
		Service: &consul.AgentService{ID: tag, Service: "probe", Tags: []string{tag}},
	}, new(consul.WriteOptions).WithContext(ctx)); err != nil {
		return fmt.Errorf("write to the catalog: %w", err)
	}
	reader, err := u.outputs.ConsulAt(names.HTTPS(next, names.ConsulPort))
	if err != nil {
		return err
	}
	found, _, err := reader.Catalog().Service("probe", tag, (&consul.QueryOptions{RequireConsistent: true}).WithContext(ctx))
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("want 1 service, got %d", len(found))
	}
	if err != nil {
		return fmt.Errorf("read the catalog from the next server: %w", err)
	}
	_, err = writer.Catalog().Deregister(&consul.CatalogDeregistration{Node: "prober", ServiceID: tag}, new(consul.WriteOptions).WithContext(ctx))
	return err
}

func (u *users) nomad(ctx context.Context, tick int, address, _ string) error {
	client, err := u.outputs.NomadAt(names.HTTPS(address, names.NomadPort))
	if err != nil {
		return err
	}
	defer client.Close()
	if _, _, err := client.Nodes().List(new(nomad.QueryOptions).WithContext(ctx)); err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	// A job without allocations: what is probed is the registration.
	job := nomad.NewServiceJob("probe", "probe", "", 50).SetMeta("tick", fmt.Sprint(tick)).
		AddTaskGroup(nomad.NewTaskGroup("none", 0).AddTask(nomad.NewTask("none", "exec").SetConfig("command", "/bin/true")))
	if _, _, err := client.Jobs().Register(job, new(nomad.WriteOptions).WithContext(ctx)); err != nil {
		return fmt.Errorf("register a job: %w", err)
	}
	return nil
}

func (u *users) vault(ctx context.Context, _ int, address, _ string) error {
	client, err := u.login(ctx, address)
	if err != nil {
		return err
	}
	if err := u.sample.Stored(ctx, client); err != nil {
		return fmt.Errorf("read a secret: %w", err)
	}
	return nil
}

// engines gets a token of each product and gives it back.
func (u *users) engines(ctx context.Context, _ int, address, _ string) error {
	client, err := u.login(ctx, address)
	if err != nil {
		return err
	}
	for _, product := range []string{"consul", "nomad"} {
		issued, err := client.Logical().ReadWithContext(ctx, product+"/creds/deployer")
		if err != nil {
			return fmt.Errorf("issue a token of %s: %w", product, err)
		}
		if _, err := client.Logical().WriteWithContext(ctx, "sys/leases/revoke", map[string]any{"lease_id": issued.LeaseID, "sync": true}); err != nil {
			return fmt.Errorf("revoke a token of %s: %w", product, err)
		}
	}
	return nil
}

// login returns a client of the Vault at an address, logged in as the prober.
func (u *users) login(ctx context.Context, address string) (*vault.Client, error) {
	client, err := u.outputs.VaultAt(names.HTTPS(address, names.VaultPort))
	if err != nil {
		return nil, err
	}
	client.SetToken("")
	client.SetMaxRetries(0)
	login, err := client.Logical().WriteWithContext(ctx, "auth/userpass/login/"+probeUser, map[string]any{"password": u.password})
	if err != nil {
		return nil, fmt.Errorf("log in: %w", err)
	}
	client.SetToken(login.Auth.ClientToken)
	return client, nil
}

// probeScript asks, from a machine, its Consul agent, its resolver, and each allocation of the sample job for the page.
// It reads Consul's token and the page's text from its input, so that neither is in a command line.
var probeScript = `read -r token; read -r text
say() { if [ "$2" = 0 ]; then echo "$1 ok"; else echo "$1 failed: $(echo "$3" | tr '\n' ' ')"; fi; }

out=$(curl --silent --show-error --fail --max-time 4 --cacert ` + names.CAFile + ` --config - \
	` + names.HTTPS(names.Localhost, names.ConsulPort) + `/v1/catalog/services 2>&1 <<-END
	header = "X-Consul-Token: $token"
	END
); say agent $? "$out"

found=$(dig +short +time=2 +tries=2 page.service.consul SRV 2>&1); [ -n "$found" ]; say dns $? "no record: $found"

for address in "$@"; do
	page=$(curl --silent --show-error --fail --max-time 4 "http://$address/" 2>&1); [ "$page" = "$text" ]; say page $? "$address: $page"
done`

// onMachine probes from one machine, another one at each tick. The pages are asked for from the next one if that is away.
func (u *users) onMachine(ctx context.Context, tick int, record func(string, error)) {
	for i := range u.machines {
		machine := u.machines[(tick+i)%len(u.machines)]
		input := strings.NewReader(u.outputs.ConsulToken + "\n" + u.sample.Greeting + "\n")
		out, err := u.stack.OnMachineWith(ctx, input, machine, append([]string{"bash", "-c", probeScript, "probe"}, *u.pages.Load()...)...)
		if err == nil {
			recordFindings(machine, string(out), i == 0, record)
			return
		}
		if i == 0 {
			record(consulAgent, fmt.Errorf("%s: %w", machine, err))
			record(consulDNS, fmt.Errorf("%s: %w", machine, err))
		}
	}
	record(pageAny, errors.New("no machine asks for it"))
}

// recordFindings reads what the script has found on a machine. Of one that was asked in the place of another only the pages count.
func recordFindings(machine, out string, own bool, record func(string, error)) {
	names := map[string]string{"page": pageHTTP}
	if own {
		names["agent"], names["dns"] = consulAgent, consulDNS
	}
	pages := errors.New("no allocation answers")
	for line := range strings.Lines(out) {
		name, verdict, _ := strings.Cut(strings.TrimSpace(line), " ")
		if names[name] == "" {
			continue
		}
		if verdict != "ok" {
			record(names[name], fmt.Errorf("%s: %s", machine, verdict))
			continue
		}
		record(names[name], nil)
		if name == "page" {
			pages = nil
		}
	}
	record(pageAny, pages)
}
