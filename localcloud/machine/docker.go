package machine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"

	"hashistack/localcloud/host"
	"hashistack/localcloud/image"
)

// Labels of everything Docker-side. The first two carry Options.Name and Options.State: several local clouds can share an
// engine, each one can be removed whole, and none removes what another one of the same name made.
const (
	labelCloud   = "hashistack.localcloud"
	labelState   = "hashistack.localcloud.state"
	labelID      = "hashistack.localcloud.id"
	labelServer  = "hashistack.localcloud.server"
	labelIPRange = "hashistack.localcloud.range"
)

// Options are what a Docker runtime is made with.
type Options struct {
	// Name prefixes containers, volumes and networks, and names the nft table.
	Name string
	// State is the identity of the state directory that the machines belong to; see host.Identity.
	State string
	Image image.Image
	// PublicRange holds the machines' public addresses; its first address is the host's.
	PublicRange netip.Prefix
	// Mirror is the package mirror's base URL as machines reach it, on the host's address in PublicRange and with its port
	// written out. The machines' Debian source is <Mirror>/debian.
	Mirror string
	// MetadataPort is the host's port for the metadata service. Machines do not see it: for them, the service is on port 80.
	MetadataPort uint16
	// MirrorKey is the armoured public key that the mirror's repositories are signed with.
	MirrorKey string
	// Log receives what happens without being asked for, such as the reboot of a guest; nil discards it.
	Log *slog.Logger
}

// gateway is the host's address on the public network.
func (o Options) gateway() netip.Addr { return o.PublicRange.Masked().Addr().Next() }

// Docker is the Runtime on a Docker engine.
type Docker struct {
	opts     Options
	docker   *client.Client
	firewall firewall
	log      *slog.Logger
}

var _ Runtime = (*Docker)(nil)

// Open connects to the machines of an existing local cloud, to look into them or to clean up. It changes nothing.
func Open(opts Options) (*Docker, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("networks and firewall of the local cloud need root: run it as root")
	}
	docker, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return nil, fmt.Errorf("reach Docker: %w", err)
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	return &Docker{opts: opts, docker: docker, firewall: newFirewall(opts.Name), log: opts.Log}, nil
}

// NewDocker prepares the public network and the cloud firewall, and takes over the machines that exist already. As long
// as ctx lives, a guest that reboots is started again.
//
// Firewall rules live in the kernel and are gone after a reboot of the host: call SetFirewall for every machine after
// NewDocker. Until then a machine without rules cannot be reached on its public address.
func NewDocker(ctx context.Context, opts Options) (*Docker, error) {
	d, err := Open(opts)
	if err != nil {
		return nil, err
	}
	for command, debianPackage := range map[string]string{"nft": "nftables", "ip": "iproute2"} {
		if _, err := exec.LookPath(command); err != nil {
			return nil, fmt.Errorf("%s is not installed: run `apt-get install %s`", command, debianPackage)
		}
	}
	mirror, err := mirrorPort(opts)
	if err != nil {
		return nil, err
	}
	if opts.MetadataPort == 0 || opts.MetadataPort == mirror {
		return nil, fmt.Errorf("metadata port %d: must be a port of its own, beside the mirror's %d", opts.MetadataPort, mirror)
	}
	if _, err := d.docker.Ping(ctx); err != nil {
		return nil, fmt.Errorf("reach the Docker engine (is it running? `systemctl start docker`): %w", err)
	}
	if err := d.Mine(ctx); err != nil {
		return nil, err
	}
	if err := host.Remembered().FilterBridges(ctx); err != nil {
		return nil, err
	}
	if err := host.Remembered().WatchFiles(); err != nil {
		return nil, err
	}
	// The firewall first, so that no machine is ever reachable without it.
	if err := d.firewall.setUp(ctx, opts.PublicRange, mirror, opts.MetadataPort); err != nil {
		return nil, err
	}
	if err := d.createNetwork(ctx, d.publicNetwork(), d.firewall.publicBridge(), opts.PublicRange); err != nil {
		return nil, fmt.Errorf("create the public network: %w", err)
	}
	if err := d.guardNetworks(ctx); err != nil {
		return nil, err
	}
	if err := d.addMetadataIPv6(ctx); err != nil {
		return nil, fmt.Errorf("give the public network the address of the metadata service: %w", err)
	}
	go d.restartRebooting(ctx)
	return d, nil
}

// mirrorPort returns the mirror's port. It checks that machines can reach the mirror: nothing else of the host is open
// to them.
func mirrorPort(opts Options) (uint16, error) {
	u, err := url.Parse(opts.Mirror)
	if err != nil {
		return 0, fmt.Errorf("mirror URL %q: %w", opts.Mirror, err)
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if gateway := opts.gateway(); err != nil || u.Hostname() != gateway.String() {
		return 0, fmt.Errorf("mirror URL %q: must name the host's public address and a port, http://%s:<port>", opts.Mirror, gateway)
	}
	return uint16(port), nil
}

// labels mark what this local cloud makes.
func (o Options) labels() map[string]string {
	return map[string]string{labelCloud: o.Name, labelState: o.State}
}

// rebooted is the exit code of a container whose guest rebooted: the kernel ends the first process with SIGHUP then, and
// with SIGINT (130) when the guest powered off. Docker's restart policies do not know the difference.
const rebooted = 129

// restartRebooting starts guests that rebooted, until ctx ends.
func (d *Docker) restartRebooting(ctx context.Context) {
	mine := filters.NewArgs(filters.Arg("label", labelCloud+"="+d.opts.Name))
	died := mine.Clone()
	died.Add("type", "container")
	died.Add("event", "die")
	for ctx.Err() == nil {
		// Ask for the events since now: it takes a moment until the engine knows that somebody listens.
		now := time.Now()
		news, failed := d.docker.Events(ctx, events.ListOptions{
			Filters: died, Since: fmt.Sprintf("%d.%09d", now.Unix(), now.Nanosecond()),
		})

		// Guests that rebooted before that. All are looked at, not those that the list calls exited: the list is told of an
		// exit a moment after the event, and a machine between the two would be missed by both.
		all, err := d.docker.ContainerList(ctx, container.ListOptions{All: true, Filters: mine})
		if err != nil {
			d.log.Warn("look for machines that rebooted", "error", err)
		}
		for _, c := range all {
			d.startAgain(ctx, c.ID)
		}

		for listening := true; listening; {
			select {
			case event := <-news:
				if event.Actor.Attributes["exitCode"] == strconv.Itoa(rebooted) {
					d.startAgain(ctx, event.Actor.ID)
				}
			case err := <-failed:
				if ctx.Err() == nil {
					d.log.Warn("listen to Docker; trying again", "error", err)
				}
				listening = false
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second): // the engine itself restarts
		}
	}
}

func (d *Docker) startAgain(ctx context.Context, id string) {
	// The news may be old: the machine may have been started, and powered off, since.
	c, err := d.docker.ContainerInspect(ctx, id)
	if err == nil && (c.State.Running || c.State.ExitCode != rebooted) {
		return
	}
	if err == nil {
		err = d.docker.ContainerStart(ctx, id, container.StartOptions{})
	}
	switch {
	case errdefs.IsNotFound(err): // deleted meanwhile
	case err != nil:
		d.log.Error("start a machine again that rebooted", "container", id, "error", err)
	default:
		d.log.Info("machine rebooted", "container", id)
	}
}
