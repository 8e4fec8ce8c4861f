package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/pkg/stdcopy"
)

// capabilities are what systemd and Nomad need. --privileged would also ask for capabilities that a host may not have
// to give. SYS_TIME is left out because the clock is the host's.
var capabilities = []string{
	"AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER",
	"FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE", "LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "MKNOD", "NET_ADMIN",
	"NET_BIND_SERVICE", "NET_BROADCAST", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYSLOG", "SYS_ADMIN",
	"SYS_BOOT", // reboot and poweroff from within
	"SYS_CHROOT", "SYS_MODULE", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO", "SYS_TTY_CONFIG", "WAKE_ALARM",
}

// serial is the variable of a machine's first process that stands for the serial number in a BIOS, which at Hetzner is the
// server's ID. image/files has who reads it: cloud-init.
const serial = "HETZNER_SERIAL"

func (d *Docker) container(id int64) string { return fmt.Sprintf("%s-%d", d.opts.Name, id) }
func (d *Docker) disk(id int64) string      { return d.container(id) + "-disk" }

// Create makes the machine, powered off, with its networks, firewall, user-data and a fresh disk. What an earlier attempt
// left of it is removed.
func (d *Docker) Create(ctx context.Context, spec Spec) error {
	if err := d.Delete(ctx, spec.ID); err != nil {
		return fmt.Errorf("create machine %s: %w", spec.Name, err)
	}
	if err := d.create(ctx, spec); err != nil {
		// What is left of it would be in the way of the next attempt.
		clean := context.WithoutCancel(ctx)
		err = errors.Join(err, d.Delete(clean, spec.ID))
		if spec.Public.IsValid() { // Delete does not know the address of a container that is not attached yet
			err = errors.Join(err, d.firewall.remove(clean, spec.ID, spec.Public))
		}
		return fmt.Errorf("create machine %s: %w", spec.Name, err)
	}
	return nil
}

func (d *Docker) create(ctx context.Context, spec Spec) error {
	seed, err := seedDisk(spec, d.opts.Mirror, d.opts.MirrorKey)
	if err != nil {
		return err
	}
	// Firewall before anything that could be reached.
	if spec.Public.IsValid() {
		if err := d.firewall.set(ctx, spec.ID, spec.Public, spec.Firewalled, spec.Rules); err != nil {
			return err
		}
	}
	labels := d.opts.labels()
	labels[labelID], labels[labelServer] = strconv.FormatInt(spec.ID, 10), spec.Name
	if _, err := d.docker.VolumeCreate(ctx, volume.CreateOptions{Name: d.disk(spec.ID), Labels: labels}); err != nil {
		return fmt.Errorf("create its disk: %w", err)
	}
	_, err = d.docker.ContainerCreate(ctx, &container.Config{
		Image:    d.opts.Image.Ref,
		Hostname: spec.Name,
		Labels:   labels,
		Env:      []string{serial + "=" + strconv.FormatInt(spec.ID, 10)},
		Tty:      true, // gives the machine a /dev/console, which Docker's log records
	}, d.hostConfig(spec), nil, nil, d.container(spec.ID))
	if err != nil {
		return fmt.Errorf("create container: %w", err)
	}
	if err := d.join(ctx, spec); err != nil {
		return err
	}
	if err := d.docker.CopyToContainer(ctx, d.container(spec.ID), "/disk", seed, container.CopyToContainerOptions{}); err != nil {
		return fmt.Errorf("write user-data to its disk: %w", err)
	}
	return nil
}

func (d *Docker) hostConfig(spec Spec) *container.HostConfig {
	return &container.HostConfig{
		NetworkMode:  network.NetworkNone,           // see join
		CgroupnsMode: container.CgroupnsModePrivate, // systemd must not see, or manage, the host's cgroups
		CapAdd:       capabilities,
		// systemd and Nomad mount; Docker's profiles forbid it.
		SecurityOpt: []string{"seccomp=unconfined", "apparmor=unconfined"},
		// Nothing of /proc is hidden or read-only: systemd and Nomad's bridge networking write to /proc/sys.
		MaskedPaths:   []string{},
		ReadonlyPaths: []string{},
		Mounts: []mount.Mount{
			{Type: mount.TypeBind, Source: d.opts.Image.Root, Target: "/image", ReadOnly: true},
			{Type: mount.TypeBind, Source: d.opts.Image.Files, Target: "/files", ReadOnly: true},
			{Type: mount.TypeVolume, Source: d.disk(spec.ID), Target: "/disk"},
		},
		Resources: resources(spec),
		LogConfig: container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "1m", "max-file": "2"}},
	}
}

func resources(spec Spec) container.Resources {
	memory := int64(spec.MemoryMiB) << 20
	return container.Resources{
		CPUShares: int64(max(spec.Cores, 1)) * 1024, // a weight, no limit: see Spec
		Memory:    memory,
		// Docker's default, memory and swap together. Written out, because an update that raises the one alone is refused.
		MemorySwap: 2 * memory,
	}
}

// Delete removes the machine with its disk and its firewall.
func (d *Docker) Delete(ctx context.Context, id int64) error {
	address, err := d.publicAddress(ctx, id)
	if errors.Is(err, ErrNotFound) {
		err = nil // a machine that was half created may still have a disk
	}
	if err == nil {
		err = errors.Join(d.removeContainer(ctx, d.container(id)), d.removeVolume(ctx, d.disk(id)))
	}
	if address.IsValid() {
		err = errors.Join(err, d.firewall.remove(ctx, id, address))
	}
	if err != nil {
		return fmt.Errorf("delete machine %d: %w", id, err)
	}
	return nil
}

// Rebuild gives the machine a fresh disk and starts it.
func (d *Docker) Rebuild(ctx context.Context, spec Spec) error {
	if err := d.Create(ctx, spec); err != nil {
		return err
	}
	return d.PowerOn(ctx, spec.ID)
}

// Resize changes how large the machine is.
func (d *Docker) Resize(ctx context.Context, spec Spec) error {
	if _, err := d.docker.ContainerUpdate(ctx, d.container(spec.ID), container.UpdateConfig{Resources: resources(spec)}); err != nil {
		return fmt.Errorf("resize machine %d: %w", spec.ID, found(err))
	}
	return nil
}

// PowerOn starts the machine and does not wait for its boot.
func (d *Docker) PowerOn(ctx context.Context, id int64) error {
	if err := d.docker.ContainerStart(ctx, d.container(id), container.StartOptions{}); err != nil {
		return fmt.Errorf("power on machine %d: %w", id, found(err))
	}
	return nil
}

// PowerOff pulls the plug, and returns when the machine is off.
func (d *Docker) PowerOff(ctx context.Context, id int64) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		if err := d.signal(ctx, id, "KILL"); err != nil {
			return fmt.Errorf("power off machine %d: %w", id, err)
		}
		// A machine in the middle of a reboot starts once more, even if the signal reached it. The next round stops it.
		c, err := d.docker.ContainerInspect(ctx, d.container(id))
		if err == nil && !c.State.Running && c.State.ExitCode != rebooted {
			return nil
		}
		if err != nil {
			return fmt.Errorf("power off machine %d: %w", id, found(err))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("power off machine %d: want it off, got it %s: %w", id, c.State.Status, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Reset pulls the plug and starts the machine again.
func (d *Docker) Reset(ctx context.Context, id int64) error {
	if err := d.PowerOff(ctx, id); err != nil {
		return err
	}
	return d.PowerOn(ctx, id)
}

// Shutdown asks the guest to power off and returns at once.
func (d *Docker) Shutdown(ctx context.Context, id int64) error {
	if err := d.signal(ctx, id, "SIGRTMIN+4"); err != nil { // systemd(1): poweroff.target
		return fmt.Errorf("shut down machine %d: %w", id, err)
	}
	return nil
}

// Reboot asks the guest to restart and returns at once.
func (d *Docker) Reboot(ctx context.Context, id int64) error {
	if err := d.signal(ctx, id, "INT"); err != nil { // systemd(1): ctrl-alt-del.target
		return fmt.Errorf("reboot machine %d: %w", id, err)
	}
	return nil
}

// signal sends a signal to the machine's first process, if it runs.
func (d *Docker) signal(ctx context.Context, id int64, signal string) error {
	err := d.docker.ContainerKill(ctx, d.container(id), signal)
	if errdefs.IsConflict(err) {
		return nil // not running
	}
	return found(err)
}

// SetFirewall replaces the machine's rules. A machine without a public address has nothing to filter.
func (d *Docker) SetFirewall(ctx context.Context, id int64, firewalled bool, rules []Rule) error {
	address, err := d.publicAddress(ctx, id)
	if err == nil && address.IsValid() {
		err = d.firewall.set(ctx, id, address, firewalled, rules)
	}
	if err != nil {
		return fmt.Errorf("set the firewall of machine %d: %w", id, err)
	}
	return nil
}

// State tells whether the machine runs. A machine that is rebooting counts as running.
func (d *Docker) State(ctx context.Context, id int64) (State, error) {
	c, err := d.docker.ContainerInspect(ctx, d.container(id))
	if err != nil {
		return "", fmt.Errorf("state of machine %d: %w", id, found(err))
	}
	if c.State.Running || c.State.ExitCode == rebooted {
		return Running, nil
	}
	return Off, nil
}

// Exec runs a command in the machine as root, as on its console: no network and no SSH key is needed. It returns the
// command's exit code; a nil writer discards.
func (d *Docker) Exec(ctx context.Context, id int64, stdin io.Reader, stdout, stderr io.Writer, command ...string) (int, error) {
	fail := func(err error) (int, error) {
		return 0, fmt.Errorf("run %q on machine %d: %w", strings.Join(command, " "), id, found(err))
	}
	exec, err := d.docker.ContainerExecCreate(ctx, d.container(id), container.ExecOptions{
		Cmd: command, AttachStdin: stdin != nil, AttachStdout: true, AttachStderr: true,
		Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"},
	})
	if err != nil {
		return fail(err)
	}
	streams, err := d.docker.ContainerExecAttach(ctx, exec.ID, container.ExecAttachOptions{})
	if err != nil {
		return fail(err)
	}
	defer streams.Close()
	stop := context.AfterFunc(ctx, streams.Close) // reading below does not know ctx
	defer stop()
	if stdin != nil {
		go func() {
			_, _ = io.Copy(streams.Conn, stdin) // fails when the command ends without reading everything, which it may
			_ = streams.CloseWrite()
		}()
	}
	if _, err := stdcopy.StdCopy(orDiscard(stdout), orDiscard(stderr), streams.Reader); err != nil {
		return fail(errors.Join(ctx.Err(), err))
	}
	result, err := d.docker.ContainerExecInspect(ctx, exec.ID)
	if err != nil {
		return fail(err)
	}
	return result.ExitCode, nil
}

func orDiscard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}

// Journal returns the last lines of the machine's journal, of one unit or of all. The machine must run; see Console.
func (d *Docker) Journal(ctx context.Context, id int64, unit string, lines int) (string, error) {
	command := []string{"journalctl", "--no-pager", "--output=short-precise", "--lines=" + strconv.Itoa(lines)}
	if unit != "" {
		command = append(command, "--unit="+unit)
	}
	var out, errOut bytes.Buffer
	code, err := d.Exec(ctx, id, nil, &out, &errOut, command...)
	if err == nil && code != 0 {
		err = fmt.Errorf("journalctl on machine %d: exit code %d: %s", id, code, strings.TrimSpace(errOut.String()))
	}
	return out.String(), err
}

// Console returns the last lines of the machine's console. The machine may be off, or stuck in its boot.
func (d *Docker) Console(ctx context.Context, id int64, lines int) (string, error) {
	logs, err := d.docker.ContainerLogs(ctx, d.container(id), container.LogsOptions{
		ShowStdout: true, ShowStderr: true, Tail: strconv.Itoa(lines),
	})
	if err != nil {
		return "", fmt.Errorf("console of machine %d: %w", id, found(err))
	}
	defer logs.Close() //nolint:errcheck // only read
	out, err := io.ReadAll(logs)
	return string(out), err
}

// publicAddress returns the zero Addr for a machine without one. It asks Docker which networks the machine is attached
// to, on or off: that decides the address at the next power-on.
func (d *Docker) publicAddress(ctx context.Context, id int64) (netip.Addr, error) {
	c, err := d.docker.ContainerInspect(ctx, d.container(id))
	if err != nil {
		return netip.Addr{}, found(err)
	}
	public := c.NetworkSettings.Networks[d.publicNetwork()]
	if public == nil || public.IPAMConfig == nil {
		return netip.Addr{}, nil
	}
	return netip.ParseAddr(public.IPAMConfig.IPv4Address)
}

func (d *Docker) removeContainer(ctx context.Context, name string) error {
	err := d.docker.ContainerRemove(ctx, name, container.RemoveOptions{Force: true, RemoveVolumes: true})
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}

func (d *Docker) removeVolume(ctx context.Context, name string) error {
	err := d.docker.VolumeRemove(ctx, name, true) // force: no error when there is none
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}
