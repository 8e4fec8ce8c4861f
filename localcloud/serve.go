package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/docker/docker/client"
	"github.com/spf13/cobra"

	"hashistack/localcloud/api"
	"hashistack/localcloud/control"
	"hashistack/localcloud/fault"
	"hashistack/localcloud/host"
	"hashistack/localcloud/image"
	"hashistack/localcloud/machine"
	"hashistack/localcloud/metadata"
	"hashistack/localcloud/mirror"
	"hashistack/localcloud/store"
)

// tokenVariable is the variable that Hetzner's own tools read.
const tokenVariable = "HCLOUD_TOKEN"

type serveOptions struct {
	cloudOptions
	listen, control string
	mirrorPort      int
	metadataPort    uint16
	tokenFile       string
	rateLimit       int
	limits          api.Limits
	tools, binaries string
	cache           string
	verbose         bool
}

// cloudOptions are what every command needs to find a local cloud.
type cloudOptions struct {
	name, state string
	publicRange string
}

func (o *cloudOptions) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.name, "name", "hashistack", "name of this local cloud: prefix of its containers and networks, name of its nft table")
	cmd.Flags().StringVar(&o.state, "state", "", "directory of its state (required)")
	cmd.Flags().StringVar(&o.publicRange, "public-range", "198.18.0.0/16", "IPv4 network of the public addresses; the first one is this host's")
	_ = cmd.MarkFlagRequired("state") // Errs only for a flag that is not there.
}

// claim makes this process the only one on this host that works on the local cloud of that name. It returns the identity
// of the state directory too.
func (o *cloudOptions) claim() (*host.Claim, string, error) {
	identity, err := host.Identity(o.state)
	if err != nil {
		return nil, "", err
	}
	claim, err := host.NewClaim(o.name, identity)
	return claim, identity, err
}

// mine fails if machines of that name belong to another state.
func mine(ctx context.Context, name, identity string) error {
	runtime, err := machine.Open(machine.Options{Name: name, State: identity})
	if err != nil {
		return err
	}
	return runtime.Mine(ctx)
}

func serveCommand() *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the local cloud in the foreground",
		Long: "Run the local cloud in the foreground, until SIGINT or SIGTERM. Machines go on running when it stops and are\n" +
			"found again when it is started with the same state. The API token comes from --token-file or " + tokenVariable + ".",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), o) },
	}
	o.flags(cmd)
	cmd.Flags().StringVar(&o.listen, "listen", "127.0.0.1:8580", "address of the API, which then is http://ADDRESS/v1")
	cmd.Flags().StringVar(&o.control, "control", "127.0.0.1:8581", "address of /healthz, /stats and /faults")
	cmd.Flags().IntVar(&o.mirrorPort, "mirror-port", 8582, "port of the package mirror on the host's public address")
	cmd.Flags().Uint16Var(&o.metadataPort, "metadata-port", 8583, "port of this host that the metadata service listens on; machines reach it at port 80 of 169.254.169.254")
	cmd.Flags().StringVar(&o.tokenFile, "token-file", "", "file with the API token")
	cmd.Flags().IntVar(&o.rateLimit, "rate-limit", 3600, "API requests per hour, Hetzner's default; 0 for no limit")
	cmd.Flags().IntVar(&o.limits.Servers, "server-limit", api.DefaultLimits.Servers, "how many servers there may be")
	cmd.Flags().StringVar(&o.tools, "tools", "tools", "folder with the modules that pin the tools' versions")
	cmd.Flags().StringVar(&o.binaries, "binaries", ".tools/bin", "folder with the tools' binaries, for the package mirror")
	cmd.Flags().StringVar(&o.cache, "cache", "", "folder for the machine image and built packages (default: hashistack in the user's cache)")
	cmd.Flags().BoolVar(&o.verbose, "verbose", false, "log every request")
	return cmd
}

func serve(ctx context.Context, o serveOptions) error {
	log := newLog(o.verbose)
	token, err := readToken(o.tokenFile)
	if err != nil {
		return err
	}
	publicRange, err := netip.ParsePrefix(o.publicRange)
	if err != nil {
		return fmt.Errorf("--public-range: %w", err)
	}
	// What concerns others comes first: it is cheap, and nothing has been made yet.
	claim, identity, err := o.claim()
	if err != nil {
		return err
	}
	defer func() { _ = claim.Release() }() // ends with the process in any case
	if err := mine(ctx, o.name, identity); err != nil {
		return err
	}
	state, err := store.Open(o.state)
	if err != nil {
		return err
	}
	defer func() { _ = state.Close() }() // only the lock is open, and it ends with the process in any case

	runtime, packages, mirrorAddress, err := machineRoom(ctx, o, identity, publicRange, log)
	if err != nil {
		return err
	}
	faults := &fault.Set{}
	limits := api.DefaultLimits
	limits.Servers = o.limits.Servers
	cloud, err := api.New(api.Options{
		Runtime: runtime, State: state, Token: token, PublicRange: publicRange, RateLimit: o.rateLimit, Limits: limits,
		Faults: faults, Log: log,
	})
	if err != nil {
		return err
	}
	defer cloud.Close()
	endpoints := []endpoint{{mirrorAddress, packages}}
	about := metadata.Handler(log, runtime.Caller, cloud.Instance)
	addresses, err := runtime.MetadataAddresses()
	if err != nil {
		return err
	}
	for _, address := range addresses {
		endpoints = append(endpoints, endpoint{address, about})
	}
	// The control address comes last, so that its health means that all is up.
	endpoints = append(endpoints, endpoint{o.listen, cloud}, endpoint{o.control, control.Handler(cloud, faults)})
	log.Info("local cloud is up", "api", "http://"+o.listen+"/v1", "control", "http://"+o.control, "mirror", "http://"+mirrorAddress)
	return listen(ctx, log, endpoints)
}

// machineRoom prepares the machine image, the package mirror and the runtime, which takes over existing machines.
func machineRoom(ctx context.Context, o serveOptions, identity string, publicRange netip.Prefix, log *slog.Logger) (*machine.Docker, http.Handler, string, error) {
	cache := o.cache
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return nil, nil, "", fmt.Errorf("find the cache folder, or name one with --cache: %w", err)
		}
		cache = filepath.Join(user, "hashistack")
	}
	docker, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return nil, nil, "", fmt.Errorf("reach Docker: %w", err)
	}
	defer func() { _ = docker.Close() }() // drops idle connections, which cannot fail
	log.Info("preparing the machine image")
	img, err := image.Ensure(ctx, docker, image.Options{Cache: filepath.Join(cache, "image"), Progress: os.Stderr})
	if err != nil {
		return nil, nil, "", fmt.Errorf("prepare the machine image: %w", err)
	}
	log.Info("preparing the package mirror")
	packages, err := mirror.New(ctx, mirror.Options{
		Tools: o.tools, Binaries: o.binaries, Debian: img.Packages, Cache: filepath.Join(cache, "mirror"),
	})
	if err != nil {
		return nil, nil, "", fmt.Errorf("prepare the package mirror: %w", err)
	}
	address := net.JoinHostPort(publicRange.Masked().Addr().Next().String(), strconv.Itoa(o.mirrorPort))
	runtime, err := machine.NewDocker(ctx, machine.Options{
		Name: o.name, State: identity, Image: img, PublicRange: publicRange, Mirror: "http://" + address, MirrorKey: packages.Key(),
		MetadataPort: o.metadataPort, Log: log,
	})
	if err != nil {
		return nil, nil, "", err
	}
	return runtime, packages, address, nil
}

func readToken(path string) (string, error) {
	if path == "" {
		if token := os.Getenv(tokenVariable); token != "" {
			return token, nil
		}
		return "", fmt.Errorf("no API token: name a file with --token-file or set %s", tokenVariable)
	}
	token, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read the API token: %w", err)
	}
	if token = bytes.TrimSpace(token); len(token) == 0 {
		return "", fmt.Errorf("read the API token: %s is empty", path)
	}
	return string(token), nil
}

type endpoint struct {
	address string
	handler http.Handler
}

// listen serves the endpoints until ctx ends or one of them fails.
func listen(ctx context.Context, log *slog.Logger, endpoints []endpoint) error {
	failed := make(chan error, len(endpoints))
	var servers []*http.Server
	defer func() {
		// Requests are short. Those that still run then belong to clients that wait for machines, and are cut off.
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		for _, s := range servers {
			if err := s.Shutdown(ctx); err != nil {
				log.Warn("request cut short", "address", s.Addr, "error", err)
			}
		}
	}()
	for _, e := range endpoints {
		listener, err := net.Listen("tcp", e.address)
		if err != nil {
			return fmt.Errorf("serve on %s: %w", e.address, err)
		}
		server := &http.Server{Addr: e.address, Handler: e.handler, ReadHeaderTimeout: 10 * time.Second}
		servers = append(servers, server)
		go func() {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serve on %s: %w", e.address, err)
			}
		}()
	}
	select {
	case <-ctx.Done():
		log.Info("stopping; machines go on")
		return nil
	case err := <-failed:
		return err
	}
}
