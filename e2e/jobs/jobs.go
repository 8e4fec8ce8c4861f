// Package jobs runs the sample jobs on a stack: one that may read a secret and shows it, and one that asks for a secret
// that it may not read.
package jobs

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	nomad "github.com/hashicorp/nomad/api"
	vault "github.com/hashicorp/vault/api"

	"hashistack/e2e/stack"
	"hashistack/internal/names"
	"hashistack/internal/poll"
)

var (
	//go:embed page.nomad.hcl
	pageJob string
	//go:embed denied.nomad.hcl
	deniedJob string
)

// secretMount and secretPath are where the sample job's secret lies in Vault.
const (
	secretMount = "secret"
	secretPath  = "default/page/config"
	secretField = "greeting"
)

const (
	// deployTimeout covers the placement, the login to Vault, the template and the first passing check.
	deployTimeout = 2 * time.Minute
	// deniedTimeout covers the placement and the first attempts.
	deniedTimeout = time.Minute
)

// Sample is the sample job, with its secret and a way to its page that does not depend on any one machine.
type Sample struct {
	stack   *stack.Stack
	outputs *stack.Outputs
	nomad   *nomad.Client
	servers []*nomad.Client // each of Nomad's servers, because one may be away
	// Greeting is the secret, chosen anew for each run.
	Greeting string
}

// New chooses a secret for the stack's sample job.
func New(s *stack.Stack, outputs *stack.Outputs) (*Sample, error) {
	client, err := outputs.Nomad()
	if err != nil {
		return nil, err
	}
	sample := &Sample{stack: s, outputs: outputs, nomad: client, Greeting: "the secret is " + strings.ToLower(rand.Text())}
	for _, name := range outputs.Members("server") {
		server, err := outputs.NomadAt(names.HTTPS(outputs.Machines[name], names.NomadPort))
		if err != nil {
			return nil, err
		}
		sample.servers = append(sample.servers, server)
	}
	return sample, nil
}

// Run stores the secret, runs the job and waits until its page shows the secret.
func (s *Sample) Run(ctx context.Context) error {
	client, err := s.outputs.Vault()
	if err != nil {
		return err
	}
	if _, err := client.KVv2(secretMount).Put(ctx, secretPath, map[string]any{secretField: s.Greeting}); err != nil {
		return fmt.Errorf("store the sample job's secret at %s/%s: %w", secretMount, secretPath, err)
	}
	// A running job would keep the old secret until its template is rendered again, so it is replaced by a new one.
	if err := s.remove(ctx, "page"); err != nil {
		return err
	}
	if err := s.register(ctx, pageJob); err != nil {
		return err
	}
	if err := poll.Until(ctx, deployTimeout, "the sample job's deployment", s.deployed); err != nil {
		return err
	}
	return poll.Until(ctx, 30*time.Second, "the sample job's page to show its secret", func(ctx context.Context) error {
		page, err := s.Page(ctx)
		if err == nil && page != s.Greeting {
			err = fmt.Errorf("it shows %q, not %q", page, s.Greeting)
		}
		return err
	})
}

func (s *Sample) register(ctx context.Context, source string) error {
	job, err := s.nomad.Jobs().ParseHCL(source, true)
	if err != nil {
		return fmt.Errorf("parse job: %w", err)
	}
	if _, _, err := s.nomad.Jobs().Register(job, (&nomad.WriteOptions{}).WithContext(ctx)); err != nil {
		return fmt.Errorf("register job %s: %w", *job.ID, err)
	}
	return nil
}

func (s *Sample) remove(ctx context.Context, id string) error {
	_, _, err := s.nomad.Jobs().Deregister(id, true, (&nomad.WriteOptions{}).WithContext(ctx))
	var unexpected nomad.UnexpectedResponseError
	if errors.As(err, &unexpected) && unexpected.HasStatusCode() && unexpected.StatusCode() == 404 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove job %s: %w", id, err)
	}
	return nil
}

// deployed returns nil when the deployment of the sample job has succeeded: as many allocations as wanted, all with a
// passing check.
func (s *Sample) deployed(ctx context.Context) error {
	deployment, _, err := s.nomad.Jobs().LatestDeployment("page", (&nomad.QueryOptions{}).WithContext(ctx))
	switch {
	case err != nil:
		return err
	case deployment == nil:
		return errors.New("there is none yet")
	case deployment.Status != "successful":
		return fmt.Errorf("it is %q, %s; %s", deployment.Status, deployment.StatusDescription, s.events(ctx, "page"))
	}
	return nil
}

// Page fetches the page as a client on another machine would: it asks the machine's resolver for the service's record
// and then the address and port in it.
func (s *Sample) Page(ctx context.Context) (string, error) {
	const script = `set -eu
read -r _ _ port target < <(dig +short +time=2 +tries=1 page.service.consul SRV | head -1)
curl --silent --show-error --fail --max-time 5 "http://${target%.}:$port/"`
	page, err := s.stack.OnMachine(ctx, "server-1", "bash", "-c", script)
	return strings.TrimSpace(string(page)), err
}

// Stored returns nil if a client may read the sample job's secret and finds it as it was stored.
func (s *Sample) Stored(ctx context.Context, client *vault.Client) error {
	secret, err := client.KVv2(secretMount).Get(ctx, secretPath)
	if err == nil && secret.Data[secretField] != s.Greeting {
		err = errors.New("the secret is not the one that was stored")
	}
	return err
}

// Allocation is an allocation of the sample job. Two that are equal mean that it was not moved or restarted in between.
type Allocation struct {
	ID       string
	Node     string
	Address  string // where its page is
	Restarts uint64
	Started  time.Time
}

// Allocations returns the running allocations of the sample job, from the first server that answers.
func (s *Sample) Allocations(ctx context.Context) (all []Allocation, err error) {
	var said []error
	for _, server := range s.servers {
		asking, cancel := context.WithTimeout(ctx, stack.AnswerTimeout)
		all, err = allocations(asking, server)
		cancel()
		if err == nil {
			return all, nil
		}
		said = append(said, err)
	}
	return nil, errors.Join(said...)
}

func allocations(ctx context.Context, server *nomad.Client) ([]Allocation, error) {
	query := new(nomad.QueryOptions).WithContext(ctx)
	stubs, _, err := server.Jobs().Allocations("page", false, query)
	if err != nil {
		return nil, err
	}
	var all []Allocation
	for _, stub := range stubs {
		if stub.ClientStatus != nomad.AllocClientStatusRunning {
			continue
		}
		allocation, _, err := server.Allocations().Info(stub.ID, query)
		if err != nil {
			return nil, err
		}
		task, port := allocation.TaskStates["httpd"], allocation.AllocatedResources.Shared.Ports[0]
		all = append(all, Allocation{
			ID: stub.ID, Node: stub.NodeName, Address: net.JoinHostPort(port.HostIP, strconv.Itoa(port.Value)),
			Restarts: task.Restarts, Started: task.StartedAt,
		})
	}
	slices.SortFunc(all, func(a, b Allocation) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

// Spread gives each allocation of the sample job a machine of its own. When machines are replaced, several end up on
// one machine, and Nomad does not move them back while they run.
func (s *Sample) Spread(ctx context.Context) error {
	return poll.Until(ctx, deployTimeout, "the allocations of the sample job to be on machines of their own", func(ctx context.Context) error {
		all, err := s.Allocations(ctx)
		if err != nil {
			return err
		}
		on := map[string]bool{}
		for _, allocation := range all {
			if on[allocation.Node] {
				_, err := s.nomad.Allocations().Stop(&nomad.Allocation{ID: allocation.ID}, new(nomad.QueryOptions).WithContext(ctx))
				return errors.Join(fmt.Errorf("%s has several", allocation.Node), err)
			}
			on[allocation.Node] = true
		}
		if len(on) < 2 {
			return fmt.Errorf("want 2 allocations, got %d", len(on))
		}
		return nil
	})
}

// RunDenied runs the job that asks for a secret of another job. It also makes the role in Vault with which only that
// other job may log in.
func (s *Sample) RunDenied(ctx context.Context) error {
	client, err := s.outputs.Vault()
	if err != nil {
		return err
	}
	if _, err := client.Logical().WriteWithContext(ctx, "auth/jwt-nomad/role/page", map[string]any{
		"role_type": "jwt", "bound_audiences": []string{"vault.io"},
		"user_claim": "/nomad_job_id", "user_claim_json_pointer": true,
		"bound_claims":   map[string]string{"nomad_job_id": "page"},
		"token_policies": []string{"nomad-workloads"}, "token_period": "30m",
	}); err != nil {
		return fmt.Errorf("make a role in Vault for the sample job: %w", err)
	}
	if err := s.remove(ctx, "denied"); err != nil {
		return err
	}
	return s.register(ctx, deniedJob)
}

// refusals are what the two groups of the denied job report. Nomad cannot tell a refused secret from one that does not
// exist yet, so it waits for it; a refused login says why.
var refusals = []string{
	"Missing: vault.read(secret/data/default/page/config)",
	`claim "nomad_job_id" does not match any associated bound claim values`,
}

// Denied waits until the allocations of the denied job say why they do not run, and returns what they say.
func (s *Sample) Denied(ctx context.Context) (reason string, err error) {
	err = poll.Until(ctx, deniedTimeout, "the denied job to say that Vault refuses it", func(ctx context.Context) error {
		reason = s.events(ctx, "denied")
		for _, refusal := range refusals {
			if !strings.Contains(reason, refusal) {
				return errors.New(reason)
			}
		}
		return nil
	})
	return reason, err
}

// Events returns what the allocations of the sample job report.
func (s *Sample) Events(ctx context.Context) string { return s.events(ctx, "page") }

// events returns what the tasks of a job's allocations report, the last event of the newest allocation first.
func (s *Sample) events(ctx context.Context, job string) string {
	allocations, _, err := s.nomad.Jobs().Allocations(job, true, (&nomad.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return err.Error()
	}
	var all []string
	for _, allocation := range allocations {
		for task, state := range allocation.TaskStates {
			for _, event := range state.Events {
				all = append(all, fmt.Sprintf("%s on %s: %s", task, allocation.NodeName, event.DisplayMessage))
			}
		}
	}
	if len(all) == 0 {
		return "no allocation says anything yet"
	}
	return strings.Join(all, "; ")
}
