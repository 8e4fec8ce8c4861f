package security

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	consul "github.com/hashicorp/consul/api"

	"hashistack/e2e/stack"
	"hashistack/internal/names"
)

// mutation breaks a protection on purpose. The attempts that it protects from must then turn red, and no others.
type mutation struct {
	what string
	// red matches the rows that depend on the protection, each written as "from: what".
	red string
	// breaks takes the protection away, and returns what puts it back, also when it has failed half way.
	breaks func(context.Context, *world) (mend mender, err error)
}

// mender puts something back as it was.
type mender func(context.Context) error

// mutations are of every kind of protection: packet filters, agents' settings, files, units, policies and roles.
func mutations() []mutation {
	return []mutation{
		{
			"the guard of the platform's ports lets tasks through", `^task(| on the bridge): (reach |all TCP ports of |the platform's UDP ports of (a server|another client|its client, at its private address))`,
			onClient("nft flush table inet hashistack_tasks", "systemctl reload tasks-guard.service"),
		},
		{
			"the guard of the metadata service lets everybody through", `: (read user-data|have Nomad download user-data)`,
			onClient("nft flush table inet hashistack", "nft --file /etc/hashistack/metadata.nft"),
		},
		{
			"tasks have capabilities", `^task: (have a capability|make a device|rewrite the machine's programs)`,
			withSettings("client", "caps", `{"plugin": [{"exec": {"config": [{"allow_caps": ["all"]}]}}]}`),
		},
		{
			"tasks run as users of the machine", `^task: run as the machine's user (consul|vault|nomad)`,
			withSettings("client", "users", `{"plugin": [{"exec": {"config": [{"denied_host_uids": "", "denied_host_gids": ""}]}}]}`),
		},
		{
			"Nomad's servers take every client", `^root on a client: register a Nomad node`,
			withSettings("server", "introduction", `{"server": [{"client_introduction": [{"enforcement": "none"}]}]}`),
		},
		{
			"every user of a client reads the login of its machine", `^another user of a client: read /etc/vault-agent.d/secret-id`,
			onClient("chmod 0644 /etc/vault-agent.d/secret-id", "chmod 0600 /etc/vault-agent.d/secret-id"),
		},
		{
			"systemd lets Consul do what it likes", `^systemd on a client: the score of consul\.service`,
			onClient("mkdir -p "+unrestrained+` && printf '[Service]\nProtectSystem=no\nPrivateDevices=no\nNoNewPrivileges=no\n' >`+unrestrained+"/99-mutation.conf && systemctl daemon-reload",
				"rm -r "+unrestrained+" && systemctl daemon-reload"),
		},
		{
			"operators read what jobs keep in Vault", `^operator's token: Vault: (read a job's secret|its capabilities)`,
			vaultPolicy(names.Operator, func(rules string) string {
				return rules + "\npath \"secret/data/*\" {\n  capabilities = [\"read\"]\n}\n"
			}),
		},
		{
			"a client chooses what is in its certificates", `^root on client-1: get a certificate of `,
			vaultPolicy("machine-client-1", func(rules string) string {
				return regexp.MustCompile(`(?s)\s+allowed_parameters = \{.*?\n  \}`).ReplaceAllString(rules, "")
			}),
		},
		{
			"jobs with one ID are one entity in all namespaces", `^task: read the secret of the job of its name in another namespace`,
			jobsByID,
		},
		{
			"a client's Nomad writes every node of Consul", `^root on a client: (Consul: register a node with the token of its Nomad|deregister Vault of a server)`,
			consulPolicy("nomad-client", func(rules string) string {
				return strings.Replace(rules, "node_prefix \"\" {\n  policy = \"read\"", "node_prefix \"\" {\n  policy = \"write\"", 1)
			}),
		},
	}
}

// unrestrained is a folder of settings of a unit that the next start of the machine forgets.
const unrestrained = "/run/systemd/system/consul.service.d"

// Mutate breaks protections on purpose, all at once, and makes all attempts. It returns an error unless exactly those turned
// red that must, and puts everything back.
func Mutate(ctx context.Context, s *stack.Stack, outputs *stack.Outputs) (problem error) {
	w, err := newWorld(ctx, s, outputs)
	if err != nil {
		return err
	}
	all := mutations()
	var menders []mender
	defer func() {
		for _, mend := range slices.Backward(menders) {
			problem = errors.Join(problem, mend(context.WithoutCancel(ctx)))
		}
		problem = errors.Join(problem, outputs.Healthy(context.WithoutCancel(ctx)))
	}()
	for _, m := range all {
		fmt.Fprintln(s.Out, "--- broken:", m.what)
		mend, err := m.breaks(ctx, w)
		if mend != nil {
			menders = append(menders, mend)
		}
		if err != nil {
			return fmt.Errorf("break on purpose: %s: %w", m.what, err)
		}
	}
	if err := outputs.Healthy(ctx); err != nil {
		return err
	}
	rows, err := Try(ctx, s, outputs, All)
	if err != nil {
		return err
	}
	return compare(s.Out, all, rows)
}

// compare writes which rows each mutation has turned red, and returns an error for those that must be red and are not, and for
// those that must not and are.
func compare(out io.Writer, all []mutation, rows []Row) error {
	of := map[string][]string{}
	var problems []error
	for _, row := range rows {
		text := row.From + ": " + row.What
		i := slices.IndexFunc(all, func(m mutation) bool { return regexp.MustCompile(m.red).MatchString(text) })
		switch {
		case i < 0 && !row.Well:
			problems = append(problems, fmt.Errorf("red, though nothing of it was broken: %s: %s", text, row.Seen))
		case i >= 0 && row.Well:
			problems = append(problems, fmt.Errorf("not red, although %s: %s", all[i].what, text))
		case i >= 0:
			of[all[i].what] = append(of[all[i].what], text)
		}
	}
	for _, m := range all {
		fmt.Fprintf(out, "%3d red  %s\n", len(of[m.what]), m.what)
		for _, text := range of[m.what] {
			fmt.Fprintln(out, "           ", text)
		}
		if len(of[m.what]) == 0 {
			problems = append(problems, fmt.Errorf("nothing turned red, although %s", m.what))
		}
	}
	return errors.Join(problems...)
}

// onClient runs a command on the client that is tried, and another to put things back.
func onClient(breaks, mends string) func(context.Context, *world) (mender, error) {
	return func(ctx context.Context, w *world) (mender, error) {
		return func(ctx context.Context) error { return w.shell(ctx, w.client, mends) }, w.shell(ctx, w.client, breaks)
	}
}

// withSettings adds a file of settings to the Nomad agents of the machines of a pool that are tried, one after the other. The last
// file counts.
func withSettings(pool, name, settings string) func(context.Context, *world) (mender, error) {
	return func(ctx context.Context, w *world) (mender, error) {
		machines := []string{w.client}
		if pool == "server" {
			machines = w.outputs.Members(pool)
		}
		path := names.NomadDir + "zz-" + name + ".json"
		each := func(ctx context.Context, command string) error {
			for _, machine := range machines {
				if err := w.shell(ctx, machine, command+" && systemctl restart nomad"); err != nil {
					return err
				}
				if err := w.outputs.Healthy(ctx); err != nil {
					return fmt.Errorf("after the restart of Nomad on %s: %w", machine, err)
				}
			}
			return nil
		}
		return func(ctx context.Context) error { return each(ctx, "rm -f "+path) }, each(ctx, "printf '%s' '"+settings+"' >"+path)
	}
}

// vaultPolicy changes the text of a policy in Vault.
func vaultPolicy(name string, change func(string) string) func(context.Context, *world) (mender, error) {
	return func(ctx context.Context, w *world) (mender, error) {
		client, err := w.outputs.Vault()
		if err != nil {
			return nil, err
		}
		before, err := client.Sys().GetPolicyWithContext(ctx, name)
		if err != nil {
			return nil, err
		}
		after := change(before)
		if after == before {
			return nil, fmt.Errorf("policy %s has nothing to change: %s", name, before)
		}
		return func(ctx context.Context) error { return client.Sys().PutPolicyWithContext(ctx, name, before) },
			client.Sys().PutPolicyWithContext(ctx, name, after)
	}
}

// consulPolicy changes the rules of a policy in Consul.
func consulPolicy(name string, change func(string) string) func(context.Context, *world) (mender, error) {
	return func(ctx context.Context, w *world) (mender, error) {
		client, err := w.outputs.Consul()
		if err != nil {
			return nil, err
		}
		before, _, err := client.ACL().PolicyReadByName(name, (&consul.QueryOptions{}).WithContext(ctx))
		if err == nil && before == nil {
			err = fmt.Errorf("Consul has no policy %s", name)
		}
		if err != nil {
			return nil, err
		}
		after := *before
		if after.Rules = change(before.Rules); after.Rules == before.Rules {
			return nil, fmt.Errorf("policy %s has nothing to change: %s", name, before.Rules)
		}
		put := func(ctx context.Context, policy *consul.ACLPolicy) error {
			_, _, err := client.ACL().PolicyUpdate(policy, (&consul.WriteOptions{}).WithContext(ctx))
			return err
		}
		return func(ctx context.Context) error { return put(ctx, before) }, put(ctx, &after)
	}
}

// jobsByID makes one entity of all jobs with one ID.
func jobsByID(ctx context.Context, w *world) (mender, error) {
	client, err := w.outputs.Vault()
	if err != nil {
		return nil, err
	}
	const role = "auth/" + names.NomadJWT + "/role/nomad-workloads"
	before, err := client.Logical().ReadWithContext(ctx, role)
	if err == nil && before == nil {
		err = errors.New("Vault has no " + role)
	}
	if err != nil {
		return nil, err
	}
	put := func(ctx context.Context, claim any) error {
		changed := maps.Clone(before.Data)
		changed["user_claim"] = claim
		_, err := client.Logical().WriteWithContext(ctx, role, changed)
		return err
	}
	return func(ctx context.Context) error { return put(ctx, before.Data["user_claim"]) }, put(ctx, "/nomad_job_id")
}
