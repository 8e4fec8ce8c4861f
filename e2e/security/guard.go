package security

import (
	"context"
	"errors"
	"fmt"

	"hashistack/internal/names"
)

// guarded are attempts of tasks to reach what is the platform's. Their twins are made while the guard is away: so what refuses
// them is the guard, and something does listen.
func (w *world) guarded() []Attempt {
	unguarded := func(try func(context.Context) error) func(context.Context) error {
		return func(ctx context.Context) error {
			if _, err := w.stack.OnMachine(ctx, w.client, "nft", "delete", "table", "inet", "hashistack_tasks"); err != nil {
				return err
			}
			err := try(ctx)
			_, restored := w.stack.OnMachine(ctx, w.client, "systemctl", "reload", "tasks-guard.service")
			return errors.Join(err, restored)
		}
	}
	var attempts []Attempt
	for _, from := range []struct {
		name string
		task task
	}{{"task", onMachine}, {"task on the bridge", onBridge}} {
		for _, to := range []struct {
			what, protocol, address string
			port                    int
		}{
			{"the API of a Nomad server, which would join any address", "tcp", w.private[w.server], names.NomadPort},
			{"the API of its own Nomad client, which names jobs in its metrics", "tcp", w.private[w.client], names.NomadPort},
			{"the RPC of a Nomad server", "tcp", w.private[w.server], names.NomadRPCPort},
			{"the gossip of Nomad", "tcp", w.private[w.server], names.NomadSerfPort},
			{"the API of a Consul server", "tcp", w.private[w.server], names.ConsulPort},
			{"the RPC of a Consul server", "tcp", w.private[w.server], names.ConsulRPCPort},
			{"the gossip of Consul", "udp", w.private[w.server], names.ConsulSerfPort},
			{"the gossip of Consul on its own client", "udp", w.private[w.client], names.ConsulSerfPort},
			{"what Vault's servers tell each other", "tcp", w.private[w.server], names.VaultPeerPort},
			{"the Nomad client on its loopback address", "tcp", "127.0.0.1", names.NomadPort},
		} {
			if from.task.id == onBridge.id && to.address == "127.0.0.1" {
				continue // its loopback address is its own
			}
			try := func(ctx context.Context) error {
				found, err := w.fromTask(from.task).ports(ctx, to.protocol, to.address, 1, to.port)
				if err == nil && len(found) == 0 {
					err = fmt.Errorf("%d/%s of %s is closed", to.port, to.protocol, to.address)
				}
				return err
			}
			attempts = append(attempts, Attempt{
				From: from.name, What: "reach " + to.what, Because: "is closed", Refused: try, Permitted: unguarded(try),
			})
		}
	}
	return attempts
}
