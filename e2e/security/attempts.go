package security

import (
	"context"
	"errors"
	"fmt"
	"strings"

	nomad "github.com/hashicorp/nomad/api"
	vault "github.com/hashicorp/vault/api"

	"hashistack/internal/names"
)

// other is a namespace beside the default one.
const other = "security"

// prepare makes and finds what the attempts need.
func (w *world) prepare(ctx context.Context) (err error) {
	w.private = map[string]string{}
	for machine := range w.outputs.Machines {
		address, err := w.stack.OnMachine(ctx, machine, "bash", "-c", "hostname -I | tr ' ' '\\n' | grep '^10[.]'")
		if err != nil {
			return err
		}
		w.private[machine] = strings.TrimSpace(string(address))
	}
	if err := w.askLeaders(); err != nil {
		return err
	}
	if w.deployer, err = w.outputs.Deployer(ctx); err != nil {
		return err
	}
	if w.operator, err = w.outputs.Operator(ctx); err != nil {
		return err
	}
	namespace := &nomad.Namespace{Name: other, Description: "of the tests of security"}
	if _, err := w.nomad.Namespaces().Register(namespace, (&nomad.WriteOptions{}).WithContext(ctx)); err != nil {
		return fmt.Errorf("make namespace %s: %w", other, err)
	}
	client, err := w.outputs.Vault()
	if err != nil {
		return err
	}
	for _, path := range []string{"default/page/config", "default/probe-own/db/config", "default/twin/config", other + "/twin/config", "default/probe-own/config"} {
		if _, err := client.KVv2("secret").Put(ctx, path, map[string]any{"of": path}); err != nil {
			return fmt.Errorf("store a secret at %s: %w", path, err)
		}
	}
	return nil
}

// askLeaders has the attempts ask the leaders of Consul and Nomad. Another server that forwards a refused snapshot loses the refusal
// now and then: its connection to the leader is closed by then.
func (w *world) askLeaders() error {
	client, err := w.outputs.Consul()
	if err != nil {
		return err
	}
	consul, err := client.Status().Leader()
	if err != nil {
		return fmt.Errorf("find Consul's leader: %w", err)
	}
	leads, err := w.nomad.Status().Leader()
	if err != nil {
		return fmt.Errorf("find Nomad's leader: %w", err)
	}
	for machine, private := range w.private {
		if strings.HasPrefix(consul, private+":") {
			w.outputs.ConsulAddress = names.HTTPS(w.outputs.Machines[machine], names.ConsulPort)
		}
		if strings.HasPrefix(leads, private+":") {
			w.outputs.NomadAddress = names.HTTPS(w.outputs.Machines[machine], names.NomadPort)
		}
	}
	return nil
}

// tasks are attempts of a job to get hold of its machine, or of another's name.
func (w *world) tasks() []Attempt {
	run := func(t task) func(context.Context) error {
		return func(ctx context.Context) error { return w.run(ctx, t) }
	}
	attempts := []Attempt{
		{
			From: "task", What: "rewrite the machine's programs, which its chroot shares", Because: "Permission denied",
			Refused:   run(task{id: "probe-write", script: `echo >>/bin/busybox`}),
			Permitted: run(task{id: "probe-write", script: `echo >>"$NOMAD_TASK_DIR/own"`}),
		},
		{
			From: "task", What: "have a capability, effective, permitted or ambient", Because: "no Cap",
			Refused: run(task{id: "probe-caps", script: `busybox grep -E 'Cap(Eff|Prm|Amb):.*[1-9a-f]' /proc/self/status || { echo "no Cap" >&2; exit 1; }`}),
			Permitted: func(ctx context.Context) error {
				return w.shell(ctx, w.client, `grep -E 'Cap(Eff|Prm):.*[1-9a-f]' /proc/self/status`)
			},
		},
		{
			From: "task", What: "make a device", Because: "Operation not permitted",
			Refused:   run(task{id: "probe-device", script: `busybox mknod "$NOMAD_TASK_DIR/disk" b 8 0`}),
			Permitted: run(task{id: "probe-device", script: `busybox mknod "$NOMAD_TASK_DIR/pipe" p`}),
		},
		{
			From: "task", What: "register a service of the platform", Because: "403",
			Refused:   run(task{id: "probe-service", script: "true", service: "vault"}),
			Permitted: run(task{id: "probe-service", script: "true", service: "probe-service"}),
		},
	}
	for _, user := range []string{"root", "consul", "vault", "nomad"} {
		attempts = append(attempts, Attempt{
			From: "task", What: "run as the machine's user " + user, Because: "user",
			Refused:   run(task{id: "probe-user", script: "true", user: user}),
			Permitted: run(task{id: "probe-user", script: "true", user: "nobody"}),
		})
	}
	return attempts
}

// metadata are attempts to read user-data. Their twins are made while the guard is away: so what refuses them is the guard.
func (w *world) metadata() []Attempt {
	const path = "/hetzner/v1/userdata"
	unguarded := func(try func(context.Context) error) func(context.Context) error {
		return func(ctx context.Context) error {
			if _, err := w.stack.OnMachine(ctx, w.client, "nft", "delete", "table", "inet", "hashistack"); err != nil {
				return err
			}
			err := try(ctx)
			_, restored := w.stack.OnMachine(ctx, w.client, "nft", "--file", "/etc/hashistack/metadata.nft")
			return errors.Join(err, restored)
		}
	}
	// busybox's wget ends with a signal in the chroot, where it finds no resolver.
	ask := func(t task) func(context.Context) error {
		t.script = `{ printf 'GET ` + path + ` HTTP/1.0\r\n\r\n'; busybox sleep 2; } | busybox nc -w 5 169.254.169.254 80 | busybox grep -q '200 OK'`
		return func(ctx context.Context) error { return w.run(ctx, t) }
	}
	var attempts []Attempt
	for _, a := range []struct {
		from, what, because string
		try                 func(context.Context) error
	}{
		{"task", "read user-data with the machine's address", "the task failed", ask(task{id: "probe-metadata", host: true})},
		{"task", "read user-data from a network of its own", "the task failed", ask(task{id: "probe-bridge"})},
		{"task", "have Nomad download user-data", "failed to download artifact", func(ctx context.Context) error {
			return w.run(ctx, task{id: "probe-artifact", script: "true", artifact: "http://169.254.169.254" + path})
		}},
		{"root on a client", "read user-data", "exit status", func(ctx context.Context) error {
			return w.shell(ctx, w.client, "curl --silent --show-error --fail --max-time 5 --output /dev/null http://169.254.169.254"+path)
		}},
		{"root on a client", "read user-data over IPv6", "exit status", func(ctx context.Context) error {
			return w.shell(ctx, w.client, "curl --silent --show-error --fail --globoff --max-time 5 --output /dev/null 'http://[fe80::a9fe:a9fe%25eth0]"+path+"'")
		}},
	} {
		attempts = append(attempts, Attempt{From: a.from, What: a.what, Because: a.because, Refused: a.try, Permitted: unguarded(a.try)})
	}
	return attempts
}

// secrets are attempts to read another job's secrets, with the token that Vault gave to a task.
func (w *world) secrets() []Attempt {
	read := func(t task, path string) func(context.Context) error {
		t.vault, t.script = true, stays
		return func(ctx context.Context) error { return w.readAs(ctx, t, path) }
	}
	own := read(holder, "default/probe-own/config")
	return []Attempt{
		{"task", `read another job's secret as a job called "pag*"`, "403", read(task{id: "pag*"}, "default/page/config"), own},
		{"task", `read another job's secret as a job called "+"`, "403", read(task{id: "+"}, "default/page/config"), own},
		{"task", `read another job's secret as a job called "+/config"`, "403", read(task{id: "+/config"}, "default/page/config"), own},
		{
			"task", "read the secret of a job whose ID looks like a folder below its own", "403",
			read(holder, "default/probe-own/db/config"), read(task{id: "probe-own/db"}, "default/probe-own/db/config"),
		},
		{"task", "read another job's secret", "403", read(holder, "default/page/config"), own},
		{
			"task", "read the secret of the job of its name in another namespace", "403",
			func(ctx context.Context) error {
				// The other one logs in last: its entity must not be this one's.
				if err := read(task{id: "twin"}, "default/twin/config")(ctx); err != nil {
					return fmt.Errorf("its own: %w", err)
				}
				if err := read(task{id: "twin", namespace: other}, other+"/twin/config")(ctx); err != nil {
					return fmt.Errorf("the other's own: %w", err)
				}
				return w.readAgain(ctx, task{id: "twin"}, other+"/twin/config")
			},
			func(ctx context.Context) error { return w.readAgain(ctx, task{id: "twin"}, "default/twin/config") },
		},
	}
}

// readAs starts a task, waits until it runs, and reads a secret with its Vault token.
func (w *world) readAs(ctx context.Context, t task, path string) error {
	if err := w.start(ctx, t); err != nil {
		return err
	}
	return w.readAgain(ctx, t, path)
}

func (w *world) readAgain(ctx context.Context, t task, path string) error {
	allocation, err := w.allocation(ctx, t, nomad.AllocClientStatusRunning)
	if err != nil {
		return err
	}
	token, err := w.stack.OnMachine(ctx, w.client, "cat", "/opt/nomad/data/alloc/"+allocation.ID+"/probe/secrets/vault_token")
	if err != nil {
		return err
	}
	client, err := w.outputs.Vault()
	if err != nil {
		return err
	}
	client.SetToken(strings.TrimSpace(string(token)))
	_, err = client.KVv2("secret").Get(ctx, path)
	return explained(err)
}

// explained gives an error of Vault its status, which its text may lack.
func explained(err error) error {
	var response *vault.ResponseError
	if errors.As(err, &response) {
		return fmt.Errorf("%d: %w", response.StatusCode, err)
	}
	return err
}

// shell runs a command on a machine, as root.
func (w *world) shell(ctx context.Context, machine, command string) error {
	_, err := w.stack.OnMachine(ctx, machine, "bash", "-c", command)
	return err
}

// machines are attempts of somebody who is root on a machine, with the machine's login to Vault.
func (w *world) machines() []Attempt {
	on := func(machine, command string) func(context.Context) error { return w.on(machine, asMachine+command) }
	// What whoever reaches Vault can try without a login.
	logins := `for i in 1 2 3 4 5 6 7; do vault write auth/approle/login role_id=$(cat /etc/vault-agent.d/role-id) secret_id=wrong-$i && exit 0; done; exit 1`
	right := `vault write auth/approle/login role_id=$(cat /etc/vault-agent.d/role-id) secret_id=$(cat /etc/vault-agent.d/secret-id)`
	var attempts []Attempt
	for _, c := range []struct{ machine, mount, role, name string }{
		{w.client, names.PKIConsul, names.PKIClient, "client.fsn1.consul"},
		{w.client, names.PKINomad, names.PKIClient, "client.global.nomad"},
		{w.server, names.PKIConsul, names.PKIServer, "server.fsn1.consul"},
		{w.server, names.PKINomad, names.PKIServer, "server.global.nomad"},
		{w.server, names.PKIVault, names.PKIServer, names.VaultName},
	} {
		issue := "vault write " + names.Issue(c.mount, c.role) + " common_name=" + c.name
		attempts = append(attempts, Attempt{
			From: "root on " + c.machine, What: "get a certificate of " + c.mount + " that lives for years", Because: "403",
			Refused: on(c.machine, issue+" not_after=2031-01-01T00:00:00Z"), Permitted: on(c.machine, issue),
		})
	}
	for mount, name := range map[string]string{names.PKIConsul: "server.fsn1.consul", names.PKINomad: "server.global.nomad", names.PKIVault: names.VaultName} {
		issue := "vault write " + names.Issue(mount, names.PKIServer) + " common_name=" + name
		attempts = append(attempts, Attempt{
			From: "root on a client", What: "get a server's certificate of " + mount, Because: "403",
			Refused: on(w.client, issue), Permitted: on(w.server, issue),
		})
	}
	// What a reader of a machine's user-data has.
	login := func(machine string) func(context.Context) error {
		return func(ctx context.Context) error {
			const dir = "/etc/vault-agent.d/"
			ids, err := w.stack.OnMachine(ctx, w.client, "bash", "-c", "echo role_id=$(cat "+dir+"role-id) secret_id=$(cat "+dir+"secret-id)")
			if err != nil {
				return err
			}
			return w.shell(ctx, machine, asMachine+"vault write auth/approle/login "+strings.TrimSpace(string(ids))+" >/dev/null")
		}
	}
	attempts = append(attempts, Attempt{
		From: "reader of user-data", What: "log in as the machine from another one", Because: "source address",
		Refused: login(w.server), Permitted: login(w.client),
	})
	return append(attempts, Attempt{
		From: "whoever reaches Vault", What: "lock a machine out with wrong logins", Because: "invalid role or secret ID",
		Refused: on(w.client, logins), Permitted: on(w.client, right),
	})
}

// network are attempts to reach what no machine needs.
func (w *world) network() []Attempt {
	connect := func(address string, port int) func(context.Context) error {
		return func(ctx context.Context) error {
			return w.shell(ctx, w.client, fmt.Sprintf("timeout 3 bash -c 'exec 3<>/dev/tcp/%s/%d'", address, port))
		}
	}
	public, private := w.outputs.Machines[w.server], w.private[w.server]
	attempts := []Attempt{{
		From: "private network", What: "reach SSH on a server", Because: "exit status",
		Refused: connect(private, names.SSHPort), Permitted: connect(private, names.VaultPort),
	}}
	// A machine's public address is none of an operator. What the cloud's firewall drops gets no answer, which is status 124
	// of timeout; pings, which it lets through, show that there is a way.
	for product, port := range map[string]int{"Vault": names.VaultPort, "Consul": names.ConsulPort, "Nomad": names.NomadPort} {
		attempts = append(attempts, Attempt{
			From: "a machine, no operator", What: "reach " + product + " at a server's public address", Because: "exit status 124",
			Refused: connect(public, port), Permitted: func(ctx context.Context) error {
				return errors.Join(w.shell(ctx, w.client, "ping -c 1 -W 2 "+public), connect(private, port)(ctx))
			},
		})
	}
	return attempts
}
