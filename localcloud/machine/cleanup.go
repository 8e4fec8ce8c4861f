package machine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"golang.org/x/sync/errgroup"

	"hashistack/localcloud/host"
)

// thing is something of this local cloud's name in Docker.
type thing struct {
	kind, name string
	labels     map[string]string
}

// things lists containers first: networks and disks can be removed when nobody uses them any more.
func (d *Docker) things(ctx context.Context) ([]thing, error) {
	named := filters.NewArgs(filters.Arg("label", labelCloud+"="+d.opts.Name))
	var all []thing
	containers, err := d.docker.ContainerList(ctx, container.ListOptions{All: true, Filters: named})
	if err != nil {
		return nil, fmt.Errorf("list the machines: %w", err)
	}
	for _, c := range containers {
		all = append(all, thing{"container", strings.TrimPrefix(slices.Concat(c.Names, []string{c.ID})[0], "/"), c.Labels})
	}
	volumes, err := d.docker.VolumeList(ctx, volume.ListOptions{Filters: named})
	if err != nil {
		return nil, fmt.Errorf("list the disks: %w", err)
	}
	for _, v := range volumes.Volumes {
		all = append(all, thing{"volume", v.Name, v.Labels})
	}
	networks, err := d.docker.NetworkList(ctx, network.ListOptions{Filters: named})
	if err != nil {
		return nil, fmt.Errorf("list the networks: %w", err)
	}
	for _, n := range networks {
		all = append(all, thing{"network", n.Name, n.Labels})
	}
	return all, nil
}

// Mine returns an error if there is something of this local cloud's name that another state made. It is neither ours to
// take over nor to remove.
func (d *Docker) Mine(ctx context.Context) error {
	all, err := d.things(ctx)
	if err != nil {
		return err
	}
	return foreign(all, d.opts.Name, d.opts.State)
}

func foreign(all []thing, name, mine string) error {
	others := map[string][]thing{} // by state
	for _, t := range all {
		if state := t.labels[labelState]; state != mine {
			others[state] = append(others[state], t)
		}
	}
	var errs []error
	for _, state := range slices.Sorted(maps.Keys(others)) {
		var names []string
		commands := map[string]string{"container": "docker rm --force", "volume": "docker volume rm", "network": "docker network rm"}
		remove := []string{}
		for _, t := range others[state] {
			names = append(names, t.kind+" "+t.name)
			remove = append(remove, commands[t.kind]+" "+t.name)
		}
		if state == "" {
			errs = append(errs, fmt.Errorf("an older version made %s, and did not note whose that is: if nobody needs it, run `%s`",
				strings.Join(names, ", "), strings.Join(remove, "; ")))
			continue
		}
		errs = append(errs, fmt.Errorf("the local cloud %q of %s made %s: run `make down` in the checkout that this belongs to; "+
			"if that is gone, `.tools/bin/localcloud down --name %s --state %s`", name, state, strings.Join(names, ", "), name, state))
	}
	return errors.Join(errs...)
}

// Cleanup removes every container, disk, network, route and nft table of this local cloud, also what an earlier process
// left behind. If another state made something of that name, it removes nothing.
func (d *Docker) Cleanup(ctx context.Context) error {
	all, err := d.things(ctx)
	if err == nil {
		err = foreign(all, d.opts.Name, d.opts.State)
	}
	if err != nil {
		return err
	}
	var machines errgroup.Group
	for _, t := range all {
		if t.kind == "container" {
			machines.Go(func() error { return d.removeContainer(ctx, t.name) })
		}
	}
	errs := []error{machines.Wait()}
	for _, t := range all {
		switch t.kind {
		case "volume":
			errs = append(errs, d.removeVolume(ctx, t.name))
		case "network":
			errs = append(errs, d.removeNetwork(ctx, t.name))
		}
	}
	errs = append(errs, d.firewall.tearDown(ctx), d.giveBack(ctx))
	return errors.Join(errs...)
}

// giveBack restores the kernel's settings when no other local cloud on this host needs them.
func (d *Docker) giveBack(ctx context.Context) error {
	networks, err := d.docker.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(filters.Arg("label", labelCloud))})
	if err != nil || len(networks) > 0 {
		return err
	}
	return host.Remembered().Restore()
}
